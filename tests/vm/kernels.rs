//! The kernels of the matrix, and how their images come here.
//!
//! A kernel is fetched by the machine's own package manager, from the mirror that it already uses,
//! and kept in a cache outside the tree: `$PFSCRIPT_VM_CACHE`, or `pfscript/vm` in the user's cache
//! folder. To fetch one anew, remove its folder there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::need;

/// One row of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name in the table of results; also the beginning of its release.
    pub name: &'static str,
    /// The Debian suite that has it.
    suite: &'static str,
    /// The package, as a glob over package names: the newest that matches is taken.
    package: &'static str,
}

/// Every kernel that the suite runs on, beside the host's.
pub const KERNELS: &[Kernel] = &[
    Kernel { name: "6.1", suite: "bookworm", package: "linux-image-6.1.*-cloud-amd64" },
    Kernel { name: "6.12", suite: "trixie", package: "linux-image-6.12.*-cloud-amd64" },
    Kernel { name: "7", suite: "sid", package: "linux-binary-7.*-cloud-amd64" },
];

/// What to do where no package manager that is known here can fetch what is not in the cache.
pub fn missing() -> Option<String> {
    let cache = cache_folder().ok()?;
    let absent = |kernel: &&Kernel| !cache.join(kernel.name).join("vmlinuz").is_file();
    let by_hand: Vec<_> =
        KERNELS.iter().filter(absent).map(|kernel| kernel.by_hand(&cache.join(kernel.name))).collect();
    let has_apt = need::command_path("apt-get").is_some();
    (!has_apt && !by_hand.is_empty()).then(|| format!("needs kernels, and there is no apt: {}", by_hand.join("; ")))
}

impl Kernel {
    /// The kernel's image in the cache, fetched now if it is not there yet.
    ///
    /// # Errors
    /// Why it could not be fetched, and what to do.
    pub fn image(&self) -> Result<PathBuf, String> {
        let folder = cache_folder()?.join(self.name);
        let image = folder.join("vmlinuz");
        if !image.is_file() {
            self.fetch(&folder).map_err(|why| self.advice(&folder, &why))?;
        }
        Ok(image)
    }

    fn advice(&self, folder: &Path, why: &str) -> String {
        format!("no kernel {}: {why}\n{}", self.name, self.by_hand(folder))
    }

    fn by_hand(&self, folder: &Path) -> String {
        let (name, folder) = (self.name, folder.display());
        format!("put a {name}.x kernel with BTF, kprobes and a serial console at {folder}/vmlinuz")
    }

    fn fetch(&self, folder: &Path) -> Result<(), String> {
        let work = folder.join("fetch");
        fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
        let apt = Apt::new(&work, self.suite)?;
        apt.run("apt-get", &["-qq", "update"])?;
        let package = newest(&apt.run("apt-cache", &["pkgnames"])?, self.package)
            .ok_or(format!("suite {} has no package {}", self.suite, self.package))?;
        apt.run("apt-get", &["-qq", "download", &package])?;
        unpack_image(&work, &folder.join("vmlinuz"))?;
        fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))
    }
}

/// apt-get with lists and sources of its own, so that the machine's stay as they are.
struct Apt<'a> {
    work: &'a Path,
    options: Vec<String>,
}

impl<'a> Apt<'a> {
    fn new(work: &'a Path, suite: &str) -> Result<Self, String> {
        let sources = work.join("sources.list");
        let line = format!("deb [arch=amd64] {} {suite} main\n", mirror()?);
        fs::write(&sources, line).map_err(|error| format!("{}: {error}", sources.display()))?;
        let lists = work.join("lists");
        fs::create_dir_all(lists.join("partial")).map_err(|error| format!("{}: {error}", lists.display()))?;
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", work.display()),
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { work, options: options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]).collect() })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(&self.options).args(args).current_dir(self.work);
        output_of(command)
    }
}

/// The Debian mirror that this machine's own sources name.
fn mirror() -> Result<String, String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]);
    let targets = output_of(command)?;
    let main = targets.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["Debian", codename, release, uri] if release == codename && !release.contains('-') => Some(uri.to_owned()),
        _ => None,
    });
    main.ok_or("apt's sources name no Debian mirror (or apt-get update never ran)".to_owned())
}

/// Of the package names that match `glob` (one `*`), the one with the highest version in its name.
fn newest(names: &str, glob: &str) -> Option<String> {
    let (start, end) = glob.split_once('*')?;
    let matching = names.lines().filter(|name| {
        let version = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        version.is_some_and(|version| !version.is_empty())
    });
    matching.max_by_key(|name| numbers(name)).map(str::to_owned)
}

/// The numbers in a name, in order: `linux-image-6.1.0-37` sorts after `linux-image-6.1.0-9`.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Puts the kernel image of the one package in `work` to `image`, whole or not at all.
fn unpack_image(work: &Path, image: &Path) -> Result<(), String> {
    let package = find(work, &|name| name.ends_with(".deb"))?;
    let mut command = Command::new("dpkg");
    command.arg("-x").arg(&package).arg(work.join("files"));
    output_of(command)?;
    let kernel = find(&work.join("files"), &|name| name.starts_with("vmlinuz"))?;
    fs::rename(&kernel, image).map_err(|error| format!("{}: {error}", image.display()))
}

/// The first file below `folder` whose name matches: packages do not agree on where the image is.
fn find(folder: &Path, matches: &dyn Fn(&str) -> bool) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (folders, files): (Vec<_>, Vec<_>) =
        entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| matches(&name.to_string_lossy()));
    let here = files.into_iter().find(named);
    here.or_else(|| folders.iter().find_map(|below| find(below, matches).ok()))
        .ok_or(format!("{} does not have the expected file", folder.display()))
}

fn output_of(mut command: Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let name = command.get_program().to_string_lossy().into_owned();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
}

fn cache_folder() -> Result<PathBuf, String> {
    let given = env::var_os("PFSCRIPT_VM_CACHE").map(PathBuf::from);
    let user = || env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    given
        .or_else(|| user().or_else(home).map(|cache| cache.join("pfscript/vm")))
        .ok_or("neither PFSCRIPT_VM_CACHE nor HOME is set".to_owned())
}
