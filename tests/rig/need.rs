//! What a test needs of the machine, and what happens where it is missing: the test is skipped and
//! says why; with `PFSCRIPT_REQUIRE_ALL=1`, as in CI, it fails instead.

use std::env;
use std::path::PathBuf;
use std::sync::Mutex;

use libtest_mimic::{Completion, Failed, Trial};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// Effective user 0, which tracing needs.
    Root,
    /// tracefs at its usual place.
    Tracefs,
    /// A command in `PATH`, and the Debian package that has it.
    Command(&'static str, &'static str),
    /// Anything else: what finds out what is missing, and what to do about it.
    Other(fn() -> Option<String>),
}

impl Need {
    /// What is missing and what to do about it.
    fn unmet(self) -> Option<String> {
        match self {
            // SAFETY: geteuid has no preconditions and cannot fail.
            Self::Root if unsafe { libc::geteuid() } != 0 => Some("needs root: run it with sudo".to_owned()),
            Self::Tracefs if !PathBuf::from("/sys/kernel/tracing/events").is_dir() => {
                Some("needs tracefs: mount -t tracefs none /sys/kernel/tracing".to_owned())
            }
            Self::Command(name, package) if command_path(name).is_none() => {
                Some(format!("needs {name}: apt-get install {package}"))
            }
            Self::Other(missing) => missing(),
            _ => None,
        }
    }
}

/// Where the command is, looking also where only root's `PATH` leads.
pub fn command_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let root_only = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(root_only).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A test that runs where all of `needs` are met.
pub fn trial<R>(name: impl Into<String>, needs: &'static [Need], run: R) -> Trial
where
    R: FnOnce() -> Result<(), Failed> + Send + 'static,
{
    Trial::ignorable_test(name, move || match needs.iter().find_map(|need| need.unmet()) {
        None => run().map(|()| Completion::Completed),
        Some(reason) if env::var_os("PFSCRIPT_REQUIRE_ALL").is_some_and(|value| value == "1") => Err(reason.into()),
        Some(reason) => {
            tell_once(&reason);
            Ok(Completion::ignored_with(reason))
        }
    })
}

/// Says on stderr why tests are skipped, each reason once.
fn tell_once(reason: &str) {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut told = TOLD.lock().expect("nothing panics while holding it");
    if !told.iter().any(|known| known == reason) {
        eprintln!("skipped: {reason}");
        told.push(reason.to_owned());
    }
}
