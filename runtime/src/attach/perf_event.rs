//! What all probes that hang on perf events share.

use std::os::fd::{AsFd, OwnedFd};

use super::Link;
use crate::load::LoadedProgram;
use crate::sys::perf::{self, Event};
use crate::sys::{Refused, bpf};

/// Attaches to `event` on each of `cpus`.
pub fn attach(loaded: &LoadedProgram<'_>, event: &Event<'_>, cpus: &[u32]) -> Result<Link, Refused> {
    attach_each(loaded, cpus.iter().map(|&cpu| (event, cpu)))
}

fn attach_each<'a>(
    loaded: &LoadedProgram<'_>,
    events: impl Iterator<Item = (&'a Event<'a>, u32)>,
) -> Result<Link, Refused> {
    let mut link = Link { events: Vec::new(), ties: Vec::new(), slow: false };
    for (event, cpu) in events {
        let event = perf::open(event, cpu)?;
        link.ties.extend(tie(loaded, &event)?);
        perf::enable(event.as_fd())?;
        link.events.push(event);
    }
    Ok(link)
}

/// Ties the program to the event: by a link, which the kernel lists among its links, or where it
/// has none for perf events (or forbids them) by the event itself.
fn tie(loaded: &LoadedProgram<'_>, event: &OwnedFd) -> Result<Option<OwnedFd>, Refused> {
    match bpf::link_perf_event(loaded.as_fd(), event.as_fd()) {
        Ok(link) => Ok(Some(link)),
        Err(refused) if refused.errno == libc::EINVAL => {
            perf::set_program(event.as_fd(), loaded.as_fd()).map(|()| None)
        }
        Err(refused) => Err(refused),
    }
}

/// Attaches to `events`, which run the program on whichever CPU they happen: one perf event each.
pub fn attach_anywhere(loaded: &LoadedProgram<'_>, events: &[Event<'_>], cpus: &[u32]) -> Result<Link, Refused> {
    let one = cpus.first().copied();
    let link = attach_each(loaded, events.iter().filter_map(|event| Some((event, one?))))?;
    Ok(Link { slow: true, ..link })
}
