//! The tool on this kernel: what it reports is compared with what getrusage says of processes that
//! the tests start; it is ended in every way, fed every bad input, and leaves nothing behind.
//!
//! Tests run one after the other: several of them load the machine as far as it goes.

mod bad_input;
mod bursts;
mod commands;
mod completions;
mod console;
mod counts;
mod crowds;
mod endings;
mod forms;
mod hostile;
mod kernel_state;
mod losses;
mod object;
mod picture;
mod pictures;
mod privileges;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;
mod soak;
mod summary;
mod symbols;
mod terminal;
mod toolbox;
mod tracer;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::bad_input::BAD_INPUT;
use crate::kernel_state::leaves_nothing;
use crate::rig::need::{self, Need};
use crate::rig::toolbox::{TOOLBOX, Tool};

const NEEDS: &[Need] = &[Need::Root, Need::Tracefs, Need::Command("bpftool", "bpftool")];
const NAMESPACES: &[Need] =
    &[Need::Root, Need::Tracefs, Need::Command("bpftool", "bpftool"), Need::Command("unshare", "util-linux")];
const OTHER_USERS: &[Need] = &[Need::Root, Need::Command("setpriv", "util-linux")];
const BARE_MACHINES: &[Need] =
    &[Need::Root, Need::Command("setpriv", "util-linux"), Need::Command("unshare", "util-linux")];

fn main() {
    if std::env::args().nth(1).as_deref() == Some(terminal::PANIC) {
        terminal::panic_on_a_terminal();
    }
    // Under nohup it would be ignored, by all that is started here too.
    // SAFETY: the default action is no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let groups = [
        terminal_trials(),
        completion_trials(),
        counts_trials(),
        ending_trials(),
        loss_trials(),
        form_trials(),
        symbol_trials(),
        picture_trials(),
        toolbox_trials(),
        object_trials(),
        bad_input_trials(),
    ];
    let conclusion = libtest_mimic::run(&arguments, groups.into_iter().flatten().collect());
    let _ = std::fs::remove_file(tracer::own_generator());
    conclusion.exit();
}

/// A test that traces.
fn live(name: impl Into<String>, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    need::trial(name, NEEDS, || leaves_nothing(test))
}

fn counts_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for threads in [1, 4] {
        for step in [1, 7, 50, 64, 70] {
            let name = format!("counts/exact/step_{step}/threads_{threads}");
            trials.push(live(name, move || counts::exact(step, threads)));
        }
    }
    for threads in [1, 2, 8] {
        for step in [1, 3, 50, 1000] {
            let name = format!("counts/many/step_{step}/threads_{threads}");
            trials.push(live(name, move || counts::many(step, threads)));
        }
    }
    trials.push(live("crowds/of_one_name", crowds::of_one_name));
    trials.push(live("crowds/in_order_of_time", crowds::in_order_of_time));
    trials.push(live("crowds/fork_storm", crowds::fork_storm));
    trials.push(live("soak", soak::soak));
    trials.push(live("counts/default_step", counts::default_step));
    trials.push(live("counts/no_call_keeps_probes_off", counts::no_call_keeps_probes_off));
    trials.push(live("counts/same_name", counts::same_name));
    trials.push(live("privileges/dropped", privileges::dropped));
    trials.push(live("privileges/kept_for_names", privileges::kept_for_names));
    trials.push(need::trial("privileges/enough", OTHER_USERS, privileges::enough));
    trials.push(live("commands/exact", commands::exact));
    trials.push(need::trial("commands/namespace", NAMESPACES, || leaves_nothing(commands::namespace)));
    trials.push(live("commands/exit_codes", commands::exit_codes));
    trials.push(live("commands/as_the_caller", commands::as_the_caller));
    trials.push(live("commands/ended_with_us", commands::ended_with_us));
    trials.push(live("commands/processes", commands::processes));
    trials.push(live("bursts/staged", bursts::staged));
    trials.push(live("bursts/ended_while_staged", bursts::ended_while_staged));
    trials.push(live("counts/freed_with_process", counts::freed_with_process));
    trials.push(live("summary/exact", summary::exact));
    trials.push(live("summary/quiet", summary::quiet));
    trials.push(live("summary/of_command", summary::of_command));
    trials
}

fn ending_trials() -> Vec<Trial> {
    vec![
        live("ends/sigint", || endings::by_signal(libc::SIGINT)),
        live("ends/sigterm", || endings::by_signal(libc::SIGTERM)),
        live("ends/signal_twice_at_once", endings::by_signal_twice_at_once),
        live("ends/second_signal", endings::by_second_signal),
        live("ends/closed_pipe", endings::closed_pipe),
        live("ends/exit_in_script", endings::by_script),
        live("ends/duration", endings::by_duration),
    ]
}

fn loss_trials() -> Vec<Trial> {
    vec![
        live("losses/tiny_buffers", losses::tiny_buffers),
        live("losses/interrupted_burst", losses::interrupted_burst),
        live("losses/blocked_pipe", losses::blocked_pipe),
        live("losses/one_signal", losses::one_signal),
        live("losses/slow_reader", losses::slow_reader),
        live("losses/stopped_terminal", losses::stopped_terminal),
        live("losses/gone_terminal", losses::gone_terminal),
        live("losses/hung_up", losses::hung_up),
        live("losses/full_device", losses::full_device),
        live("losses/full_disk", losses::full_disk),
        live("losses/killed", losses::killed),
        live("losses/signal_storm", losses::signal_storm),
        live("losses/full_map", losses::full_map),
    ]
}

fn form_trials() -> Vec<Trial> {
    vec![
        live("hostile/table", hostile::table),
        live("hostile/json", hostile::json),
        live("hostile/csv", hostile::csv),
        live("forms/table", forms::table),
        live("forms/json", forms::json),
        live("forms/csv", forms::csv),
        live("forms/file", forms::into_file),
        live("forms/complaints", forms::complaints),
    ]
}

fn terminal_trials() -> Vec<Trial> {
    let exits = "software:page-faults:1 { @faults[pid]++; } interval:s:1 { exit(7); } END { clear(@faults); }";
    vec![
        live("terminal/status_line", terminal::status_line),
        live("terminal/status_line_goes", terminal::status_line_goes),
        live("terminal/no_status_line", terminal::no_status_line),
        live("terminal/colors", terminal::colors),
        live("terminal/top", terminal::top),
        live("terminal/top_of_command", terminal::top_of_command),
        live("terminal/top_holds_remarks", terminal::top_holds_remarks),
        live("terminal/top_of_several_maps", terminal::top_of_several_maps),
        live("terminal/restored/sigint", || terminal::top_restores(&[], Some(libc::SIGINT), Some(0))),
        live("terminal/restored/sigterm", || terminal::top_restores(&[], Some(libc::SIGTERM), Some(0))),
        live("terminal/restored/sighup", || terminal::top_restores(&[], Some(libc::SIGHUP), None)),
        live("terminal/restored/sigquit", || terminal::top_restores(&[], Some(libc::SIGQUIT), None)),
        live("terminal/restored/duration", || terminal::top_restores(&["--top", "--duration", "1s"], None, Some(0))),
        live("terminal/restored/exit", move || terminal::top_restores(&["--top", "-e", exits], None, Some(7))),
        live("terminal/restored/error", terminal::error_restores),
        live("terminal/picture", terminal::picture),
        Trial::test("terminal/restored/panic", terminal::panic_restores),
    ]
}

fn completion_trials() -> Vec<Trial> {
    let trial = |shell: &'static str, needs| {
        need::trial(format!("completions/{shell}"), needs, move || completions::complete(shell))
    };
    vec![
        trial("bash", &[Need::Command("bash", "bash")]),
        trial("zsh", &[Need::Command("zsh", "zsh")]),
        trial("fish", &[Need::Command("fish", "fish")]),
    ]
}

fn symbol_trials() -> Vec<Trial> {
    vec![
        live("symbols/uprobe", symbols::uprobe),
        live("symbols/uretprobe", symbols::uretprobe),
        live("symbols/user_stack", symbols::user_stack),
        live("symbols/kernel_stack", symbols::kernel_stack),
        live("symbols/kept_stacks", symbols::kept_stacks),
        live("symbols/lengths_and_elements", symbols::lengths_and_elements),
        live("symbols/mode_and_user", symbols::mode_and_user),
        live("symbols/user_symbol", symbols::user_symbol),
        live("symbols/kernel_types", symbols::kernel_types),
        live("symbols/moments", symbols::moments),
    ]
}

fn picture_trials() -> Vec<Trial> {
    vec![live("pictures/folded", pictures::folded), live("pictures/flame_graph", pictures::flame_graph)]
}

fn toolbox_trials() -> Vec<Trial> {
    let tool = |tool: &'static Tool| live(format!("toolbox/{}", tool.name), || toolbox::works(tool));
    let complete = Trial::test("toolbox/is_complete", toolbox::is_complete);
    TOOLBOX.iter().map(tool).chain([complete]).collect()
}

fn object_trials() -> Vec<Trial> {
    vec![
        need::trial("object/bpftool", NAMESPACES, || leaves_nothing(object::loads_with_bpftool)),
        live("object/aya", object::counts_with_aya),
    ]
}

fn bad_input_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for input in BAD_INPUT {
        trials.push(live(format!("bad_input/{}", input.0), || input.check()));
    }
    let file = |name: &'static str, contents: Vec<u8>, message: &'static [&'static str]| {
        Trial::test(format!("bad_input/{name}"), move || bad_input::file(name, &contents, message))
    };
    trials.push(file("empty_file", Vec::new(), &["empty"]));
    trials.push(file("binary_file", vec![0x7f, b'E', b'L', b'F', 0, 0xff, 0xfe, 1], &["not text"]));
    trials.push(file("line_of_10_mb", vec![b'a'; 10 << 20], &["line_of_10_mb", "larger than"]));
    trials.push(need::trial("bad_input/without_root", OTHER_USERS, bad_input::without_root));
    trials.push(need::trial("bad_input/without_tracefs", NAMESPACES, bad_input::without_tracefs));
    trials.push(need::trial("bad_input/without_sysfs", NAMESPACES, bad_input::without_sysfs));
    trials.push(Trial::test("bad_input/pipe_without_reader", bad_input::pipe_without_reader));
    trials.push(Trial::test("bad_input/help_to_full_disk", bad_input::help_to_full_disk));
    trials.push(need::trial("unprivileged", BARE_MACHINES, bad_input::unprivileged_work));
    trials
}
