//! The processes that a session is about: a command that it runs (`-c`), or some that run already (`-p`).
//!
//! The command's process stands before its exec until everything is attached, so its first fault
//! is seen. It runs as the user who called sudo, and its end is the session's.

use std::cell::RefCell;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Gid, Uid, User};

use crate::session::Until;
use crate::sys::await_readable;
use crate::sys::child::{Child, Identity, Image, fork_stopped, open_pidfd};

/// How long a command that was told to end is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel frees a process a moment after its end, and tracepoints tell of that too: so long is
/// waited for what a command started and outlived.
const LINGER: Duration = Duration::from_millis(100);

/// Why a command cannot be run, and the exit code that shells give for it.
#[derive(Debug)]
pub struct NotRun {
    /// The reason.
    pub message: String,
    /// 127: there is no such command; 126: it cannot be run; 2: it is not written as a command is.
    pub code: u8,
}

/// A command that runs, or is about to.
#[derive(Clone, Debug)]
pub struct Command(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    child: Child,
    /// Its exit code, once it has ended.
    code: Option<i32>,
}

impl Command {
    /// Makes the process of a command, as a shell would write it, and has it wait; a silent one has
    /// no terminal to read from or write to.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn prepare(text: &str, is_silent: bool) -> Result<Self, NotRun> {
        let bad = |message: String| NotRun { message, code: 2 };
        if text.contains('\0') {
            return Err(bad("a command has no NUL in it".into()));
        }
        let words = shell_words::split(text).map_err(|error| bad(format!("the command `{text}`: {error}")))?;
        let Some(name) = words.first() else { return Err(bad("the command is empty".into())) };
        let args = words.iter().map(|word| c_string(word.into())).collect::<Result<_, _>>()?;
        let image = Image {
            program: c_string(find(name)?.into_os_string())?,
            args,
            is_silent,
            env: environment().into_iter().map(c_string).collect::<Result<_, _>>()?,
            user: caller().map(|(uid, gid, user)| Identity {
                uid,
                gid,
                name: user.and_then(|user| CString::new(user.name).ok()),
            }),
        };
        let child = fork_stopped(&image).map_err(|error| NotRun { message: format!("{name}: {error}"), code: 126 })?;
        Ok(Self(Rc::new(RefCell::new(State { child, code: None }))))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.borrow().child.pid().as_raw().unsigned_abs()
    }

    /// Lets the command go when first polled, and completes at its end with its exit code.
    pub fn until_ended(&self) -> Until {
        let command = self.clone();
        Box::pin(async move { command.watch().await.unwrap_or_default() })
    }

    async fn watch(&self) -> io::Result<i32> {
        let ended = await_readable(self.0.borrow().child.as_fd().try_clone_to_owned()?)?;
        self.0.borrow_mut().child.release()?;
        loop {
            ended.readable().await?.clear_ready();
            if let Some(code) = self.try_wait() {
                tokio::time::sleep(LINGER).await;
                return Ok(code);
            }
        }
    }

    /// Ends it if it still runs. Its exit code if it had ended by itself.
    pub fn end(&self) -> Option<i32> {
        self.0.borrow_mut().child.turn_away();
        let code = self.try_wait();
        if code.is_none() {
            // Our own child, not waited for: the number is still its own.
            let _ = kill(self.0.borrow().child.pid(), Signal::SIGTERM);
            let begin = Instant::now();
            while self.try_wait().is_none() && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(2));
            }
        }
        // Its name is of no more use.
        let _ = waitpid(self.0.borrow().child.pid(), Some(WaitPidFlag::WNOHANG));
        code
    }

    /// Leaves the process where it is, so that it still has its name, until [`Command::end`].
    fn try_wait(&self) -> Option<i32> {
        let mut state = self.0.borrow_mut();
        if state.code.is_none() {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            state.code = match waitid(Id::Pid(state.child.pid()), flags) {
                Ok(WaitStatus::Exited(_, code)) => Some(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
                _ => None,
            };
        }
        state.code
    }
}

/// Completes when all of `pids` have ended; or says which of them there is not.
///
/// # Errors
/// There is no such process, or it cannot be watched.
pub fn until_all_ended(pids: &[u32]) -> Result<Until, NotRun> {
    let watch = |&pid: &u32| {
        let fd = i32::try_from(pid).map_err(io::Error::other).and_then(open_pidfd);
        fd.map_err(|error| NotRun { message: format!("process {pid} cannot be traced: {error}"), code: 2 })
    };
    let watched = pids.iter().map(watch).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::pin(async move {
        for process in watched {
            let Ok(ended) = await_readable(process) else { return std::future::pending().await };
            let _ = ended.readable().await;
        }
        0
    }))
}

/// The user who called sudo, with what is known of them.
fn caller() -> Option<(Uid, Gid, Option<User>)> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    let (uid, gid) = (Uid::from_raw(number("SUDO_UID")?), Gid::from_raw(number("SUDO_GID")?));
    (Uid::effective().is_root() && !uid.is_root()).then(|| (uid, gid, User::from_uid(uid).ok().flatten()))
}

/// Our environment; with sudo's marks taken away and what names the user set right, as the caller had it.
fn environment() -> Vec<OsString> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if let Some((.., user)) = caller() {
        variables.retain(|(name, _)| !name.as_bytes().starts_with(b"SUDO_"));
        if let Some(user) = user {
            let known = [
                ("HOME", user.dir.into_os_string()),
                ("SHELL", user.shell.into_os_string()),
                ("USER", user.name.clone().into()),
                ("LOGNAME", user.name.into()),
            ];
            variables.retain(|(name, _)| !known.iter().any(|(known, _)| name == known));
            variables.extend(known.map(|(name, value)| (name.into(), value)));
        }
    }
    let line = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name
    };
    variables.into_iter().map(line).collect()
}

/// The file of a command: what has a slash is a path, anything else is looked for in `PATH`.
fn find(name: &str) -> Result<PathBuf, NotRun> {
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![name.into()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
    };
    let files: Vec<_> = candidates.into_iter().filter(|file| file.is_file()).collect();
    match files.iter().find(|file| is_executable(file)) {
        Some(file) => Ok(file.clone()),
        None if files.is_empty() => Err(NotRun { message: format!("{name}: command not found"), code: 127 }),
        None => Err(NotRun { message: format!("{name}: not executable"), code: 126 }),
    }
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

fn c_string(text: OsString) -> Result<CString, NotRun> {
    CString::new(text.into_vec()).map_err(|_| NotRun { message: "a command has no NUL in it".into(), code: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        assert!(find("sh").is_ok_and(|file| file.is_absolute()));
        assert_eq!(find("/bin/sh").map_err(|not| not.code).ok(), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find("no-such-command-here").map_err(|not| not.code).err(), Some(127));
        assert_eq!(find("./no/such/file").map_err(|not| not.code).err(), Some(127));
        assert_eq!(find("/etc/passwd").map_err(|not| not.code).err(), Some(126));
    }

    #[test]
    fn what_is_no_command_is_not_run() {
        for text in ["", "  ", "'sh", "sh\0"] {
            assert!(Command::prepare(text, false).is_err_and(|not| not.code == 2), "{text:?}");
        }
    }
}
