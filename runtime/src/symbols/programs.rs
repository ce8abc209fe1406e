//! Programs and libraries as a script names them: the file that is meant, and where in it a
//! function begins.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use blazesym::inspect::Inspector;
use blazesym::inspect::source::{Elf, Source};
use pfscript_compiler::kernel::Unavailable;

use super::ld_cache;

/// Where libraries are where there is no cache of the dynamic linker.
const LIBRARY_DIRS: [&str; 5] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];
/// The first bytes of an ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Files with functions, each read when it is first asked about.
#[derive(Debug, Default)]
pub struct Programs {
    inspector: Inspector,
}

/// A place that a probe can be put at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Bytes from the file's start; several when several functions have the one name.
    pub offsets: Vec<u64>,
}

impl Programs {
    /// Where `function` plus `offset` bytes is in the file `name`; without a function, `offset`
    /// itself.
    ///
    /// # Errors
    /// No such file, or no such function in it, with one that is called nearly so.
    pub fn locate(&self, name: &str, function: &str, offset: u64) -> Result<Place, Unavailable> {
        let path = find_file(name)?;
        if function.is_empty() {
            return Ok(Place { path, offsets: vec![offset] });
        }
        let mut offsets = self.functions(&path, function)?;
        offsets.iter_mut().for_each(|at| *at = at.saturating_add(offset));
        Ok(Place { path, offsets })
    }

    /// The offsets in the file of the functions called `function`, ascending.
    fn functions(&self, path: &Path, function: &str) -> Result<Vec<u64>, Unavailable> {
        let source = elf_source(path);
        let unreadable =
            |error| Unavailable::Unknown(format!("cannot read the symbols of {}: {error}", path.display()));
        let found = self.inspector.lookup(&source, &[function]).map_err(unreadable)?;
        let defined = found.iter().flatten().filter(|symbol| symbol.addr != 0);
        let mut offsets: Vec<u64> = defined.filter_map(|symbol| symbol.file_offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        if offsets.is_empty() { Err(self.no_function(path, &source, function)) } else { Ok(offsets) }
    }

    fn no_function(&self, path: &Path, source: &Source, function: &str) -> Unavailable {
        let allowed = function.chars().count().div_ceil(3).min(3);
        let mut nearest: Option<(usize, String)> = None;
        let mut any = false;
        // A file that cannot be read to its end has fewer names to suggest.
        let _ = self.inspector.for_each(source, |symbol| {
            any = true;
            let distance = strsim::damerau_levenshtein(function, &symbol.name);
            if distance <= nearest.as_ref().map_or(allowed, |(best, _)| best.saturating_sub(1)) {
                nearest = Some((distance, symbol.name.to_string()));
            }
            ControlFlow::Continue(())
        });
        let what = match nearest {
            Some((_, near)) => format!("has no function {function}: is {near} meant?"),
            None if any => format!("has no function {function}"),
            None => "has no symbols: give the offset of the function in the file instead".into(),
        };
        Unavailable::Unknown(format!("{} {what}", path.display()))
    }
}

/// The symbols of the file itself: what debuggers know beside them names no other functions.
fn elf_source(path: &Path) -> Source {
    let mut elf = Elf::new(path);
    elf.debug_syms = false;
    Source::Elf(elf)
}

/// The file that `name` means: a path if it has a `/`, else a command in `PATH`, else a library,
/// with or without the `.so` and what follows it; what begins with `lib` is a library first.
///
/// # Errors
/// There is none, or it is no ELF file.
pub fn find_file(name: &str) -> Result<PathBuf, Unavailable> {
    let missing = |what: &str| Unavailable::Unknown(format!("there is no {what} {name}"));
    let found = if name.contains('/') {
        fs::canonicalize(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing("file"),
            _ => Unavailable::Unknown(format!("{name}: {error}")),
        })?
    } else {
        let found = if name.starts_with("lib") {
            find_library(name).or_else(|| find_command(name))
        } else {
            find_command(name).or_else(|| find_library(name))
        };
        found.ok_or_else(|| missing("command in PATH and no library"))?
    };
    if is_elf(&found) {
        return Ok(found);
    }
    Err(Unavailable::Unknown(format!("{} is no program or library (no ELF file)", found.display())))
}

fn find_command(name: &str) -> Option<PathBuf> {
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|dir| dir.join(name)).find(executable)?;
    fs::canonicalize(found).ok()
}

fn find_library(name: &str) -> Option<PathBuf> {
    let cache = fs::read(ld_cache::PATH).unwrap_or_default();
    let cached =
        ld_cache::libraries(&cache).filter(|(library, _)| is_called(library, name)).map(|(_, path)| path.into());
    let listed = LIBRARY_DIRS.iter().flat_map(|dir| in_directory(Path::new(dir), name));
    let found = cached.chain(listed).find(|path: &PathBuf| is_elf(path) && is_native(path))?;
    fs::canonicalize(found).ok()
}

/// Whether the library `file` is the one called `name`: `libc.so.6` is `libc` and `libc.so.6`.
fn is_called(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(".so"))
}

fn in_directory(dir: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|file| is_called(file, name)))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn is_elf(path: &Path) -> bool {
    head(path).is_some_and(|head| head.starts_with(ELF_MAGIC))
}

/// Whether the file is for the same machine as this program: class, byte order and architecture.
fn is_native(path: &Path) -> bool {
    let own = head(Path::new("/proc/self/exe"));
    let (Some(own), Some(other)) = (own, head(path)) else { return false };
    own[4..6] == other[4..6] && own[18..20] == other[18..20]
}

fn head(path: &Path) -> Option<[u8; 20]> {
    let mut head = [0; 20];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_its_short_name() {
        assert!(is_called("libc.so.6", "libc") && is_called("libc.so.6", "libc.so.6"));
        assert!(!is_called("libcap.so.2", "libc") && !is_called("libc.so.6", "libc.so.7"));
    }

    #[test]
    fn functions_of_this_very_program_are_found() {
        let this = env::current_exe().expect("a test is a program");
        let this = this.to_str().expect("a path in UTF-8");
        let programs = Programs::default();
        let main = programs.locate(this, "main", 0).expect("C's main calls Rust's");
        assert_eq!(main.offsets.len(), 1);
        let after = programs.locate(this, "main", 4).expect("the same function");
        assert_eq!(after.offsets, [main.offsets[0] + 4]);
        assert_eq!(programs.locate(this, "", 64).expect("an offset").offsets, [64]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let programs = Programs::default();
        let said = |name: &str, function: &str| programs.locate(name, function, 0).expect_err("missing").to_string();
        assert_eq!(said("/no/such/file", "f"), "there is no file /no/such/file");
        assert_eq!(said("no_such_command", "f"), "there is no command in PATH and no library no_such_command");
        assert!(said("/proc/version", "f").ends_with("is no program or library (no ELF file)"));
        let this = env::current_exe().expect("a test is a program");
        let text = said(this.to_str().expect("a path in UTF-8"), "mian");
        assert!(text.ends_with("has no function mian: is main meant?"), "{text}");
    }
}
