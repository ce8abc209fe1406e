//! A tracing session from the loaded object to the exit code: one thread, one loop.
//!
//! Order of things: programs are loaded, `BEGIN` runs, targets are attached in the script's
//! order; records are handed to the [`Sink`] in the order in which they happened; at the end all
//! is detached, `END` runs, everything still in the buffers is handed out, then the maps that have
//! entries, then the totals of what was lost.

use std::future::{Future, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use pfscript_compiler::Artifact;
use pfscript_compiler::manifest::{AttachSpec, COUNTERS_SECTION, MapRef};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::action::{Actor, Stop, is_event};
use crate::attach::{self, Link};
use crate::event::horizon::Horizon;
use crate::event::lost::{self, Losses};
use crate::event::order::Orderer;
use crate::event::poll::{Pace, Rings};
use crate::event::stage::Stages;
use crate::failure::{Failure, PassedOver};
use crate::kernel::Kernel;
use crate::load::{LoadedProgram, LoadedTarget, Loader};
use crate::privileges::Needs;
use crate::sink::Sink;
use crate::sys;
use crate::sys::map::RawMap;
use crate::sys::memory::MappedWords;

/// Something to wait for, with the exit code that it gives.
pub type Until = Pin<Box<dyn Future<Output = i32>>>;

/// What a session is asked for.
#[derive(Default)]
pub struct Settings {
    /// End by itself after this time.
    pub duration: Option<Duration>,
    /// End by itself after this many `emit` and `printf` records.
    pub max_events: Option<u64>,
    /// Pages of each CPU's buffer.
    pub buffer_pages: Option<usize>,
    /// What the sink writes to, if it is to end the session when nobody reads it any more, even
    /// while there is nothing to write: a duplicate of standard output, say.
    pub output: Option<OwnedFd>,
    /// What is to be kept of the process's capabilities once everything is attached; all if absent.
    pub needs: Option<Needs>,
    /// Something whose end ends the session (a command that runs), with the exit code it gives.
    pub until: Option<Until>,
}

/// So many bytes of records held back are enough: memory stays bounded however slow the reader.
const MOST_HELD: usize = 2 << 20;

/// What ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A signal, the time or the command, with the exit code: all that happened until now counts.
    Outside(i32),
    /// `exit()` or the number of events, with the exit code: what happened after it does not count.
    Script(i32),
    /// Nobody reads the output any more.
    BrokenPipe,
}

impl Ending {
    fn code(self) -> i32 {
        match self {
            Self::Outside(code) | Self::Script(code) => code,
            Self::BrokenPipe => 0,
        }
    }
}

/// Runs a script until it ends. Returns the exit code.
///
/// # Errors
/// The machine refuses (exit code 3), or the verifier found a bug of ours.
pub fn run(artifact: &Artifact, kernel: &Kernel, settings: Settings, sink: &mut dyn Sink) -> Result<i32, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let loader = Loader::new(artifact, kernel)?;
        let mut session = Session::prepare(artifact, &loader, &settings, sink)?;
        let ended = match session.start(kernel, settings.needs.as_ref()) {
            Ok(ControlFlow::Continue(())) => session.trace(settings.duration, settings.until, settings.output).await,
            Ok(ControlFlow::Break(ending)) => Ok(ending),
            Err(failure) => Err(failure),
        };
        session.finish(ended)
    });
    // A wait for a horizon is of no more use; the threads of the runtime need not be joined.
    runtime.shutdown_background();
    code
}

/// A session: everything is in the kernel.
struct Session<'a> {
    artifact: &'a Artifact,
    loader: &'a Loader<'a>,
    sink: &'a mut dyn Sink,
    cpus: Vec<u32>,
    rings: Rings,
    orderer: Orderer,
    stages: Option<Stages<'a>>,
    /// Up to when all records are known to have been in the buffers before the next look.
    horizon: u64,
    losses: Losses,
    begin: Vec<LoadedProgram<'a>>,
    targets: Vec<LoadedTarget<'a>>,
    end: Vec<LoadedProgram<'a>>,
    /// Programs that were attached, kept to ask how they fared.
    attached: Vec<LoadedProgram<'a>>,
    links: Vec<Link>,
    counters: Option<Counters>,
    events_left: Option<u64>,
    /// They wake the loop.
    signals: Vec<Signal>,
}

/// The object's `.bss`, seen as memory, and a place to copy it to.
struct Counters {
    memory: MappedWords,
    bytes: Vec<u8>,
}

impl Counters {
    fn of(map: &MapData) -> Result<Self, Failure> {
        let len = RawMap::of(map).map_err(io::Error::other)?.value_size();
        let memory = MappedWords::new(map.fd().as_fd(), len);
        let memory =
            memory.map_err(|refused| Failure::Map { symbol: COUNTERS_SECTION.into(), reason: refused.into() })?;
        Ok(Self { memory, bytes: vec![0; len] })
    }

    /// The present bytes.
    fn read(&mut self) -> &[u8] {
        for (bytes, word) in self.bytes.chunks_exact_mut(8).zip(self.memory.words()) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        &self.bytes
    }

    /// Sets the `u64` at `offset`.
    fn write(&self, offset: usize, value: u64) {
        if let Some(word) = self.memory.words().get(offset / 8) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

impl<'a> Session<'a> {
    /// Loads all programs and opens the buffers.
    fn prepare(
        artifact: &'a Artifact,
        loader: &'a Loader<'a>,
        settings: &Settings,
        sink: &'a mut dyn Sink,
    ) -> Result<Self, Failure> {
        let manifest = &artifact.manifest;
        let cpus = aya::util::online_cpus()
            .map_err(|(path, error)| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        let (mut begin, mut targets, mut end) = (Vec::new(), Vec::new(), Vec::new());
        for target in &manifest.targets {
            let loaded = loader.load_target(target, Vec::new())?;
            match loaded.program.program.attach {
                AttachSpec::Begin => begin.push(loaded.program),
                AttachSpec::End => end.push(loaded.program),
                _ => targets.push(loaded),
            }
        }
        let rings = match loader.events() {
            Some(events) => Rings::open(events, &cpus, settings.buffer_pages)?,
            None => Rings::none(),
        };
        let maps: Vec<_> = (0..manifest.maps.len()).map(|index| loader.map(MapRef(index as u32))).collect();
        sink.maps(&maps)?;
        let stages = loader.stage().map(|(map, program)| Stages::new(map, &program, &cpus)).transpose()?;
        sink.stacks(&loader.stacks())?;
        Ok(Self {
            artifact,
            loader,
            sink,
            cpus,
            rings,
            orderer: Orderer::new(&manifest.records),
            stages,
            horizon: 0,
            losses: Losses::new(manifest),
            begin,
            targets,
            end,
            attached: Vec::new(),
            links: Vec::new(),
            counters: loader.counters().map(Counters::of).transpose()?,
            events_left: settings.max_events,
            signals: hear_signals()?,
        })
    }

    /// Runs `BEGIN` and hands out what it reports, then attaches, unless `BEGIN` calls `exit()`.
    fn start(&mut self, kernel: &Kernel, needs: Option<&Needs>) -> Result<ControlFlow<Ending>, Failure> {
        for note in self.loader.notes() {
            self.sink.note(note);
        }
        self.write_start_time();
        if self.events_left == Some(0) {
            return Ok(ControlFlow::Break(Ending::Script(0)));
        }
        if !self.begin.is_empty() {
            self.begin.iter().try_for_each(attach::run_once)?;
            if let ended @ ControlFlow::Break(_) = self.look_at_everything()? {
                return Ok(ended);
            }
        }
        for loaded in std::mem::take(&mut self.targets) {
            let link = self.attach(loaded, kernel)?;
            self.links.push(link);
        }
        if let Some(Err(left)) = needs.map(Needs::keep_only) {
            self.sink.note(&format!("privileges were kept: {left}"));
        }
        self.sink.note("tracing");
        // With nothing attached nothing can happen any more.
        let idle = self.links.is_empty();
        if !idle {
            self.sink.tracing_began()?;
        }
        Ok(if idle { ControlFlow::Break(Ending::Outside(0)) } else { ControlFlow::Continue(()) })
    }

    /// Attaches a target; when the kernel refuses, loads and attaches its next alternative.
    fn attach(&mut self, mut loaded: LoadedTarget<'a>, kernel: &Kernel) -> Result<Link, Failure> {
        loop {
            let refused = match attach::attach(&loaded.program, &self.cpus, kernel) {
                Ok(link) => {
                    self.note_attached(&loaded);
                    self.attached.push(loaded.program);
                    return Ok(link);
                }
                Err(reason) => PassedOver { probe: loaded.program.program.probe.clone(), reason },
            };
            let LoadedTarget { target, mut passed_over, .. } = loaded;
            passed_over.push(refused);
            loaded = self.loader.load_target(target, passed_over)?;
        }
    }

    fn note_attached(&mut self, loaded: &LoadedTarget<'_>) {
        for over in &loaded.passed_over {
            self.sink.note(&format!("passed over {over}"));
        }
        self.sink.note(&format!("attached {}", loaded.program.program.probe));
    }

    /// Tells the programs when tracing started, for `elapsed`.
    fn write_start_time(&self) {
        if let (Some(offset), Some(counters)) = (self.artifact.manifest.start_time_offset, &self.counters) {
            counters.write(offset as usize, sys::monotonic_now());
        }
    }

    /// Looks into the buffers until something ends the session.
    async fn trace(
        &mut self,
        duration: Option<Duration>,
        mut until: Option<Until>,
        output: Option<OwnedFd>,
    ) -> Result<Ending, Failure> {
        let started = Instant::now();
        let mut pace = Pace::new(started);
        let mut horizon = Horizon::default();
        // A file or a terminal is never given up by its reader.
        let output = output.and_then(|output| sys::await_hangup(output).ok());
        loop {
            if let Some(signal) = sys::process::interruption() {
                return Ok(Ending::Outside(code_of_signal(signal)));
            }
            if let ControlFlow::Break(ending) = self.look(&mut pace)? {
                return Ok(ending);
            }
            if self.orderer.is_holding() || self.stages.as_ref().is_some_and(Stages::are_armed) {
                horizon.advance(|| self.stages.as_mut().map(Stages::fetch).unwrap_or_default());
            }
            let left = duration.map(|duration| duration.saturating_sub(started.elapsed()));
            let next = pace.wait(Instant::now());
            tokio::select! {
                biased;
                () = any(&mut self.signals) => {}
                () = hung_up(output.as_ref()) => return Ok(Ending::BrokenPipe),
                code = ended(&mut until) => return Ok(Ending::Outside(code)),
                () = tokio::time::sleep(left.unwrap_or(Duration::MAX)), if left.is_some() => {
                    return Ok(Ending::Outside(0));
                }
                reached = horizon.reached() => self.horizon = reached,
                filled = self.rings.filled() => filled?,
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Takes what is in the buffers and hands out what is ripe.
    fn look(&mut self, pace: &mut Pace) -> Result<ControlFlow<Ending>, Failure> {
        // What is too much to hold waits in the buffers, where what does not fit is counted; but what is handed
        // out must be whole.
        if self.orderer.arena().bytes.len() < MOST_HELD || !self.orderer.has_released(self.horizon) {
            self.drain();
        }
        if self.orderer.is_holding() {
            pace.saw_events(Instant::now());
        }
        let mut actor = Actor::new(&self.artifact.manifest, self.loader, self.sink, &mut self.events_left);
        let flow = self.orderer.release(self.horizon, |layout, bytes| actor.act(layout, bytes));
        self.after_release(flow)
    }

    /// Takes what is in the buffers and hands out everything.
    fn look_at_everything(&mut self) -> Result<ControlFlow<Ending>, Failure> {
        self.drain();
        let mut actor = Actor::new(&self.artifact.manifest, self.loader, self.sink, &mut self.events_left);
        let flow = self.orderer.release_all(|layout, bytes| actor.act(layout, bytes));
        self.after_release(flow)
    }

    fn drain(&mut self) {
        let before = self.orderer.arena().entries.len();
        let dropped = self.rings.drain(self.orderer.arena());
        if let Some(stages) = &mut self.stages {
            stages.saw(self.orderer.arena().entries.len() - before);
        }
        self.losses.dropped_by_buffers(dropped);
        if self.losses.has_counters()
            && let Some(counters) = &mut self.counters
        {
            self.losses.read_counters(counters.read());
        }
    }

    /// Shows what was handed out, and what has begun to be lost.
    fn after_release(&mut self, flow: ControlFlow<Stop>) -> Result<ControlFlow<Ending>, Failure> {
        let flow = match flow {
            ControlFlow::Break(Stop::Failed(error)) => return unless_broken_pipe(error),
            ControlFlow::Break(Stop::Ended(code)) => ControlFlow::Break(Ending::Script(code)),
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        };
        if let Err(error) = self.sink.flush() {
            return unless_broken_pipe(error);
        }
        for text in self.losses.begun() {
            self.sink.warn(&text);
        }
        Ok(flow)
    }

    /// Detaches, hands out the rest, runs `END`, tells what was lost. Returns the exit code.
    fn finish(mut self, ended: Result<Ending, Failure>) -> Result<i32, Failure> {
        self.sink.tracing_ended();
        let programs_matter = !matches!(ended, Ok(Ending::BrokenPipe)) && !self.links.is_empty();
        Link::detach_all(std::mem::take(&mut self.links), programs_matter);
        if programs_matter {
            // What still runs may have a record to send. Without a barrier it has had the time.
            let _ = sys::process::wait_for_programs();
        }
        let rest = self.take_stages();
        let ended = rest.and(ended).and_then(|ending| self.wind_up(ending));
        match ended {
            Ok(Ending::BrokenPipe) => {}
            Err(Failure::Io(_)) => {
                self.tell_unprinted();
                self.tell_totals();
            }
            Ok(_) | Err(_) => self.tell_totals(),
        }
        ended.map(Ending::code)
    }

    /// Takes what programs have staged and will not send any more.
    fn take_stages(&mut self) -> Result<(), Failure> {
        match &mut self.stages {
            Some(stages) => Ok(stages.take_rest(self.orderer.arena())?),
            None => Ok(()),
        }
    }

    /// Hands out the rest and runs `END`, as long as somebody reads. Returns the last word on how
    /// it ended.
    fn wind_up(&mut self, mut ending: Ending) -> Result<Ending, Failure> {
        if let Ending::Outside(_) = ending {
            ending = self.look_at_everything()?.break_value().unwrap_or(ending);
        }
        match ending {
            Ending::BrokenPipe => Ok(ending),
            Ending::Outside(_) | Ending::Script(_) => match self.run_end() {
                Ok(at_end) => Ok(at_end.unwrap_or(ending)),
                Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::BrokenPipe),
                Err(failure) => Err(failure),
            },
        }
    }

    /// Runs `END`, hands out what it reports, and the maps. Returns what `END` says of the ending.
    fn run_end(&mut self) -> Result<Option<Ending>, Failure> {
        self.drain();
        self.orderer.discard();
        self.events_left = None;
        self.end.iter().try_for_each(attach::run_once)?;
        let at_end = self.look_at_everything()?.break_value();
        if at_end != Some(Ending::BrokenPipe) {
            Actor::new(&self.artifact.manifest, self.loader, self.sink, &mut None).print_remaining_maps()?;
            self.sink.flush()?;
        }
        Ok(at_end)
    }

    /// Tells how many events came and are not shown, because writing failed.
    fn tell_unprinted(&mut self) {
        self.drain();
        let mut unprinted = self.sink.unwritten();
        let records = &self.artifact.manifest.records;
        let _: ControlFlow<()> = self.orderer.release_all(|layout, _| {
            unprinted += u64::from(is_event(&records[layout].action));
            ControlFlow::Continue(())
        });
        if let Some(text) = lost::unprinted(unprinted) {
            self.sink.warn(&text);
        }
    }

    fn tell_totals(&mut self) {
        let mut lost = self.losses.totals();
        for program in &self.attached {
            if let Ok(skipped @ 1..) = sys::bpf::skipped_runs(program.as_fd()) {
                lost.push(skipped_text(&program.program.probe, skipped));
            }
        }
        let (late, malformed) = (self.orderer.late(), self.orderer.malformed());
        if late > 0 {
            self.sink.note(&format!("{late} events came too late to be put in order"));
        }
        if malformed > 0 {
            lost.push(format!("{malformed} events were not understood: this is a bug in pfscript"));
        }
        self.sink.ended(&lost);
    }
}

fn skipped_text(probe: &str, skipped: u64) -> String {
    let runs = if skipped == 1 { "1 run".to_owned() } else { format!("{skipped} runs") };
    format!("the kernel skipped {runs} of {probe}, which was running already on that CPU: what it counts is too low")
}

/// The signals that ask for the end wake the loop from here on: what is pressed while attaching
/// ends the session in order.
fn hear_signals() -> io::Result<Vec<Signal>> {
    let asking = sys::process::ending_signals();
    sys::process::hear(&asking)?;
    asking.into_iter().map(|number| signal(SignalKind::from_raw(number))).collect()
}

/// Ctrl-C and SIGTERM are how a session is meant to end; with the terminal the user is gone.
fn code_of_signal(signal: i32) -> i32 {
    if signal == libc::SIGHUP { 128 + signal } else { 0 }
}

/// Completes when one of `signals` has come.
async fn any(signals: &mut [Signal]) {
    poll_fn(|cx| match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

async fn hung_up(output: Option<&AsyncFd<OwnedFd>>) {
    match output {
        // An error of the waiting itself says nothing about the output.
        Some(output) if output.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

async fn ended(until: &mut Option<Until>) -> i32 {
    match until {
        Some(until) => until.await,
        None => std::future::pending().await,
    }
}

/// A broken pipe is an ending; any other error is one.
fn unless_broken_pipe(error: io::Error) -> Result<ControlFlow<Ending>, Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(Ending::BrokenPipe)),
        _ => Err(error.into()),
    }
}
