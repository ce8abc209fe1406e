//! A tracing session from the loaded object to the exit code: one thread, one loop.
//!
//! Order of things: programs are loaded, `BEGIN` runs, targets are attached in the script's
//! order; records are handed to the [`Sink`] in the order in which they happened; at the end all
//! is detached, `END` runs, everything still in the buffers is handed out, then the maps that have
//! entries, then the totals of what was lost.

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aya::maps::MapData;
use pfscript_compiler::Artifact;
use pfscript_compiler::manifest::{AttachSpec, COUNTERS_SECTION, MapRef};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::action::{Actor, Stop};
use crate::attach::{self, Link};
use crate::event::horizon::Horizon;
use crate::event::lost::Losses;
use crate::event::order::Orderer;
use crate::event::poll::{Pace, Rings};
use crate::event::stage::Stages;
use crate::failure::{Failure, PassedOver};
use crate::kernel::Kernel;
use crate::load::{LoadedProgram, LoadedTarget, Loader};
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
    /// Something whose end ends the session (a command that runs), with the exit code it gives.
    pub until: Option<Until>,
}

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

/// Runs a script until it ends. Returns the exit code.
///
/// # Errors
/// The machine refuses (exit code 3), or the verifier found a bug of ours.
pub fn run(artifact: &Artifact, kernel: &Kernel, settings: Settings, sink: &mut dyn Sink) -> Result<i32, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let loader = Loader::new(artifact, kernel)?;
        let mut session = Session::prepare(artifact, &loader, &settings, sink)?;
        let ending = match session.start(kernel)? {
            ControlFlow::Continue(()) => session.trace(settings.duration, settings.until, settings.output).await?,
            ControlFlow::Break(ending) => ending,
        };
        session.finish(ending)
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
    signals: [Signal; 2],
    /// A signal has come: seen at the next look, should the waking fail.
    is_interrupted: Arc<AtomicBool>,
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
            // Heard from here on: what is pressed while attaching ends the session in order.
            signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?],
            is_interrupted: sys::process::interruption()?,
        })
    }

    /// Runs `BEGIN` and hands out what it reports, then attaches, unless `BEGIN` calls `exit()`.
    fn start(&mut self, kernel: &Kernel) -> Result<ControlFlow<Ending>, Failure> {
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
            if let ControlFlow::Break(ending) = self.look(&mut pace)? {
                return Ok(ending);
            }
            if self.orderer.is_holding() || self.stages.as_ref().is_some_and(Stages::are_armed) {
                horizon.advance(|| self.stages.as_mut().map(Stages::fetch).unwrap_or_default());
            }
            if self.is_interrupted.load(Ordering::Relaxed) {
                return Ok(Ending::Outside(0));
            }
            let left = duration.map(|duration| duration.saturating_sub(started.elapsed()));
            let next = pace.wait(Instant::now());
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                biased;
                _ = interrupt.recv() => return Ok(Ending::Outside(0)),
                _ = terminate.recv() => return Ok(Ending::Outside(0)),
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
        self.drain();
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

    /// Detaches, hands out the rest, runs `END`.
    fn finish(mut self, mut ending: Ending) -> Result<i32, Failure> {
        self.sink.tracing_ended();
        let programs_matter = ending != Ending::BrokenPipe && !self.links.is_empty();
        Link::detach_all(std::mem::take(&mut self.links), programs_matter);
        if programs_matter {
            // What still runs may have a record to send. Without a barrier it has had the time.
            let _ = sys::process::wait_for_programs();
        }
        if let Some(stages) = &mut self.stages {
            stages.take_rest(self.orderer.arena())?;
        }
        if matches!(ending, Ending::Outside(_))
            && let ControlFlow::Break(earlier) = self.look_at_everything()?
        {
            ending = earlier;
        }
        let code = match ending {
            Ending::Outside(code) | Ending::Script(code) => code,
            Ending::BrokenPipe => return Ok(0),
        };
        match self.run_end() {
            Ok(code_of_end) => Ok(code_of_end.unwrap_or(code)),
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(failure) => Err(failure),
        }
    }

    /// Runs `END`, hands out what it reports, the maps and the totals. Returns the exit code if
    /// `END` sets one.
    fn run_end(&mut self) -> Result<Option<i32>, Failure> {
        self.drain();
        self.orderer.discard();
        self.events_left = None;
        self.end.iter().try_for_each(attach::run_once)?;
        let code = match self.look_at_everything()? {
            ControlFlow::Break(Ending::Outside(code) | Ending::Script(code)) => Some(code),
            ControlFlow::Break(Ending::BrokenPipe) => return Ok(Some(0)),
            ControlFlow::Continue(()) => None,
        };
        Actor::new(&self.artifact.manifest, self.loader, self.sink, &mut None).print_remaining_maps()?;
        self.sink.flush()?;
        self.tell_totals();
        Ok(code)
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
