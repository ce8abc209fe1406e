//! What has names: probes in programs, the frames of stacks, fields through the kernel's types,
//! moments.

use std::time::{SystemTime, UNIX_EPOCH};

use libtest_mimic::Failed;

use crate::tracer::{Finished, Tracer, faulted, generate};

/// What a script says of a generator that begins when it is attached and has ended before it is.
/// Gives the generator's process too, which is the parent of the one that faults.
fn traced(script: &str) -> Result<(Finished, u32), Failed> {
    let tracer = Tracer::start(&["-e", script])?;
    let generator = generate(2_000, 1)?;
    let pid = generator.id();
    faulted(generator)?;
    Ok((tracer.stop(libc::SIGINT)?, pid))
}

/// A probe at a function of a program runs when the program does.
pub fn uprobe() -> Result<(), Failed> {
    let generator = env!("CARGO_BIN_EXE_page_fault_gen");
    let (finished, pid) = traced(&format!(r#"uprobe:{generator}:main {{ printf("%d %s\n", pid, comm); }}"#))?;
    let expected = format!("{pid} page_fault_gen");
    if finished.stdout.lines().any(|line| line == expected) {
        return Ok(());
    }
    Err(format!("no line {expected}:\n{}", finished.stdout).into())
}

/// A function of a library is found, and its return gives what it returns.
pub fn uretprobe() -> Result<(), Failed> {
    let (finished, pid) = traced(r#"uretprobe:libc:getpid /comm == "page_fault_gen"/ { @[pid, retval] = count(); }"#)?;
    expect(&finished, &format!("@[{pid}, {pid}]: "))
}

/// The stack of a process has names also when it is printed after the process's end.
pub fn user_stack() -> Result<(), Failed> {
    let (finished, _) = traced(r#"uprobe:libc:wait4 /comm == "page_fault_gen"/ { @[comm, ustack] = count(); }"#)?;
    expect(&finished, "@[page_fault_gen, \n    ")?;
    expect(&finished, "wait4+0\n")?;
    expect(&finished, "\n]: 1\n")
}

/// An address of a process has a name also when it is printed after the process's end.
pub fn user_symbol() -> Result<(), Failed> {
    let script = r#"tracepoint:exceptions:page_fault_user /comm == "page_fault_gen"/ { @[usym(args.ip)] = count(); }"#;
    let (finished, _) = traced(script)?;
    expect(&finished, "@[page_fault_gen::touch]: 2000\n")
}

/// The kernel's functions have names.
pub fn kernel_stack() -> Result<(), Failed> {
    let script = r#"rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ { printf("%s", kstack); }"#;
    let (finished, _) = traced(script)?;
    expect(&finished, "\n    do_exit+")
}

/// Stacks are variables and values of maps too, in the shape that the script says.
pub fn kept_stacks() -> Result<(), Failed> {
    let script = r#"uprobe:libc:wait4 /comm == "page_fault_gen"/ {
        $user = ustack(1); @user[comm] = $user; @pair = (comm, ustack(raw, 1));
        printf("first %s", @user[comm]); printf("none %s.\n", @user["nobody"]);
    }
    rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ { @kernel = kstack(perf, 2); @short[kstack(2)]++; }"#;
    let (finished, _) = traced(script)?;
    for text in [
        "first 
    wait4+0
",
        "none .
",
        "@kernel: 
    ffffffff",
        "@pair: (page_fault_gen, 
    7f",
        "@user[page_fault_gen]: 
    wait4+0

",
    ] {
        expect(&finished, text)?;
    }
    let short = finished
        .stdout
        .split_once(
            "@short[
",
        )
        .map_or("", |(_, rest)| rest);
    match short.split_once(']').map_or(0, |(frames, _)| frames.lines().count()) {
        2 => Ok(()),
        found => Err(format!(
            "{found} frames instead of 2:
{}",
            finished.stdout
        )
        .into()),
    }
}

/// Stacks have lengths, and arrays in a tracepoint's record elements, whose number may be computed.
pub fn lengths_and_elements() -> Result<(), Failed> {
    let script = r#"tracepoint:raw_syscalls:sys_enter /comm == "page_fault_gen" && args.id == 1/ {
        $i = len(kstack(1)) - 1;
        @same[args.args[$i] == args.args[0], args.args[$i + 2] == args.args[2], args.args[$i + 6]] = count();
        @deep[len(ustack) > 1 && len(kstack) > 1, len(kstack(2)), len(ustack(1))] = count();
        @fd[args.args[$i] == 1 || args.args[$i] == 2] = count();
    }"#;
    let (finished, _) = traced(script)?;
    for text in ["@same[1, 1, 0]: ", "@deep[1, 2, 1]: ", "@fd[1]: "] {
        expect(&finished, text)?;
    }
    match finished.stdout.matches("]: ").count() {
        3 => Ok(()),
        more => Err(format!("{more} elements instead of 3:\n{}", finished.stdout).into()),
    }
}

/// What a program touches by itself it touches in user mode; and the user has a name.
pub fn mode_and_user() -> Result<(), Failed> {
    let (finished, _) = traced(r#"software:page-faults:1 /comm == "page_fault_gen"/ { @[usermode, username]++; }"#)?;
    let user = String::from_utf8(std::process::Command::new("id").arg("-un").output()?.stdout)?;
    let count = finished.stdout.split_once(&format!("@[1, {}]: ", user.trim())).map_or("", |(_, rest)| rest);
    match count.lines().next().unwrap_or_default().parse::<u64>() {
        Ok(2000..) => Ok(()),
        _ => Err(format!("not 2000 faults in user mode:\n{}", finished.stdout).into()),
    }
}

/// Arguments of raw tracepoints, and what they point to, are found through the kernel's types.
pub fn kernel_types() -> Result<(), Failed> {
    let script = r#"rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ {
        printf("%d %d %s\n", pid, args.p.tgid, args.p.group_leader.comm);
    }"#;
    let (finished, pid) = traced(script)?;
    expect(&finished, &format!("{pid} {pid} page_fault_gen\n"))
}

/// Both ways to print a moment print that of the event.
pub fn moments() -> Result<(), Failed> {
    let before = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let script = r#"rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ {
        time("time %s\n"); printf("strftime %s\n", strftime("%s", nsecs));
    }"#;
    let (finished, _) = traced(script)?;
    let after = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for word in ["time ", "strftime "] {
        let second = finished.stdout.lines().find_map(|line| line.strip_prefix(word)?.parse::<u64>().ok());
        if !second.is_some_and(|second| (before..=after).contains(&second)) {
            return Err(format!("{word}is not from {before} to {after}:\n{}", finished.stdout).into());
        }
    }
    Ok(())
}

fn expect(finished: &Finished, text: &str) -> Result<(), Failed> {
    if finished.stdout.contains(text) {
        return Ok(());
    }
    Err(format!("{text:?} is not in:\n{}\n{}", finished.stdout, finished.stderr).into())
}
