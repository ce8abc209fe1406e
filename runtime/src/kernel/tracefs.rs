//! tracefs: which tracepoints there are, their numbers and their record layouts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pfscript_compiler::kernel::{FieldKind, TracepointField, Unavailable};

/// Where tracefs is mounted, the first that is.
const MOUNT_POINTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What to do when tracefs is not mounted.
pub const HOW_TO_MOUNT: &str = "tracefs is not mounted: mount -t tracefs none /sys/kernel/tracing";

/// Why tracefs is closed to root too.
const LOCKED_DOWN: &str = "tracefs is closed: the kernel is locked down (lockdown=confidentiality)";

/// A mounted tracefs.
#[derive(Clone, Debug)]
pub struct Tracefs {
    root: PathBuf,
}

impl Tracefs {
    /// The mounted tracefs.
    ///
    /// # Errors
    /// It is not mounted, or not to be read by this user.
    pub fn find() -> Result<Self, Unavailable> {
        let mut denied = None;
        for root in MOUNT_POINTS.map(Path::new) {
            match fs::metadata(root.join("events")) {
                Ok(_) => return Ok(Self { root: root.into() }),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = denied.or(Some(root)),
                Err(_) => {}
            }
        }
        Err(Unavailable::Unknown(match denied {
            Some(root) => format!("{} may be read by root only: run with sudo", root.display()),
            None if is_locked_down() => LOCKED_DOWN.into(),
            None => HOW_TO_MOUNT.into(),
        }))
    }

    /// The tree at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The number of a tracepoint, for perf.
    ///
    /// # Errors
    /// No such tracepoint, or it cannot be read.
    pub fn event_id(&self, category: &str, name: &str) -> Result<u64, Unavailable> {
        let path = self.event_path(category, name, "id");
        let text = read(&path)?;
        text.trim().parse().map_err(|_| Unavailable::Unknown(format!("{} holds no number", path.display())))
    }

    /// The fields of a tracepoint's record.
    ///
    /// # Errors
    /// No such tracepoint, or it cannot be read.
    pub fn format(&self, category: &str, name: &str) -> Result<Vec<TracepointField>, Unavailable> {
        let path = self.event_path(category, name, "format");
        let damaged = || Unavailable::Unknown(format!("{} is not understood", path.display()));
        parse_format(&read(&path)?).ok_or_else(damaged)
    }

    /// All tracepoints as `(category, name)`.
    pub fn tracepoints(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.root.join("available_events")).unwrap_or_default();
        let pair = |line: &str| line.split_once(':').map(|(category, name)| (category.to_owned(), name.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// Whether the function `name` can be traced by ftrace, and so by fentry. Slow: tens of ms.
    ///
    /// # Errors
    /// It cannot, or the list cannot be read.
    pub fn traceable(&self, name: &str) -> Result<(), Unavailable> {
        let text = read(&self.functions_path())?;
        let listed = text.lines().any(|line| function_name(line) == name);
        if listed { Ok(()) } else { Err(Unavailable::Unknown("not in available_filter_functions".into())) }
    }

    /// What ftrace can trace, one function a line, its module behind it; empty when that cannot
    /// be read. Slow: tens of ms.
    pub fn functions(&self) -> String {
        fs::read_to_string(self.functions_path()).unwrap_or_default()
    }

    /// Whether a policy (not a missing privilege) keeps ftrace's functions closed.
    pub fn functions_forbidden(&self) -> bool {
        fs::File::open(self.functions_path()).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
    }

    fn functions_path(&self) -> PathBuf {
        self.root.join("available_filter_functions")
    }

    fn event_path(&self, category: &str, name: &str, file: &str) -> PathBuf {
        self.root.join("events").join(category).join(name).join(file)
    }
}

/// Whether the kernel hides from root what it knows: tracefs can be mounted then, but is empty.
fn is_locked_down() -> bool {
    fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|modes| modes.contains("[confidentiality]"))
}

/// The name in a line of `available_filter_functions`.
pub fn function_name(line: &str) -> &str {
    line.split([' ', '\t']).next().unwrap_or(line)
}

fn read(path: &Path) -> Result<String, Unavailable> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unavailable::NotFound,
        io::ErrorKind::PermissionDenied => {
            Unavailable::Unknown(format!("{} may be read by root only: run with sudo", path.display()))
        }
        _ => Unavailable::Unknown(format!("{}: {error}", path.display())),
    })
}

/// The fields that a format file lists; `None` when a line is not understood or there are none.
pub fn parse_format(text: &str) -> Option<Vec<TracepointField>> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("field:"));
    let fields = lines.map(parse_field).collect::<Option<Vec<_>>>()?;
    (!fields.is_empty()).then_some(fields)
}

/// `DECLARATION;  offset:N;  size:N;  signed:N;`
fn parse_field(line: &str) -> Option<TracepointField> {
    let mut parts = line.split(';').map(str::trim);
    let declaration = parts.next()?;
    let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse::<u32>().ok();
    let (offset, size) = (number("offset:")?, number("size:")?);
    let signed = number("signed:").unwrap_or(0) == 1;
    let (ty, name) = split_declaration(declaration)?;
    Some(TracepointField { name: name.into(), offset, kind: field_kind(ty, declaration, size, signed) })
}

/// The type and the name of `TYPE NAME` or `TYPE NAME[LEN]`.
fn split_declaration(declaration: &str) -> Option<(&str, &str)> {
    let plain = match declaration.strip_suffix(']') {
        Some(array) => &array[..array.rfind('[')?],
        None => declaration,
    };
    let (ty, name) = plain.rsplit_once([' ', '*'])?;
    (!name.is_empty()).then_some((ty.trim_end(), name))
}

fn field_kind(ty: &str, declaration: &str, size: u32, signed: bool) -> FieldKind {
    let by_value = declaration.starts_with("struct ") || declaration.starts_with("union ");
    let opaque = FieldKind::Opaque { bytes: size };
    match ty {
        "__data_loc char[]" => FieldKind::DataLoc,
        _ if ty.starts_with("__data_loc") || ty.starts_with("__rel_loc") => opaque,
        "char" if declaration.ends_with(']') => FieldKind::CharArray { len: size },
        _ if by_value && !declaration.contains('*') => opaque,
        _ if declaration.contains('[') => int_array(declaration, size, signed).unwrap_or(opaque),
        _ if matches!(size, 1 | 2 | 4 | 8) => FieldKind::Int { bytes: size as u8, signed },
        _ => opaque,
    }
}

/// The integers of `TYPE NAME[LEN]`. How many is a number in most format files, else a C constant.
fn int_array(declaration: &str, size: u32, signed: bool) -> Option<FieldKind> {
    let (_, len) = declaration.strip_suffix(']')?.rsplit_once('[')?;
    let len = len.trim().parse().ok().filter(|&len| len > 0 && size.is_multiple_of(len))?;
    match size / len {
        bytes @ (1 | 2 | 4 | 8) => Some(FieldKind::IntArray { bytes: bytes as u8, signed, len }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: demo\nID: 370\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:__data_loc char[] comm;\toffset:8;\tsize:4;\tsigned:0;\n\
        \tfield:char old[16];\toffset:12;\tsize:16;\tsigned:0;\n\
        \tfield:unsigned long args[6];\toffset:32;\tsize:48;\tsigned:0;\n\
        \tfield:const char * ptr;\toffset:80;\tsize:8;\tsigned:0;\n\
        \tfield:struct sock *sk;\toffset:88;\tsize:8;\tsigned:0;\n\
        \tfield:struct pair both;\toffset:96;\tsize:8;\tsigned:0;\n\
        \tfield:__rel_loc u8[] blob;\toffset:104;\tsize:4;\tsigned:0;\n\n\
        print fmt: \"comm=%s\", __get_str(comm)\n";

    #[test]
    fn a_format_file_is_understood() {
        let int = |bytes, signed| FieldKind::Int { bytes, signed };
        let expected = [
            ("common_type", 0, int(2, false)),
            ("common_pid", 4, int(4, true)),
            ("comm", 8, FieldKind::DataLoc),
            ("old", 12, FieldKind::CharArray { len: 16 }),
            ("args", 32, FieldKind::IntArray { bytes: 8, signed: false, len: 6 }),
            ("ptr", 80, int(8, false)),
            ("sk", 88, int(8, false)),
            ("both", 96, FieldKind::Opaque { bytes: 8 }),
            ("blob", 104, FieldKind::Opaque { bytes: 4 }),
        ];
        let fields = parse_format(FORMAT).expect("well formed");
        let found: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.offset, field.kind)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn damage_gives_no_answer_and_no_panic() {
        assert_eq!(parse_format(""), None);
        assert_eq!(parse_format("\tfield:;\toffset:0;\tsize:2;"), None);
        assert_eq!(parse_format("\tfield:int x];\toffset:0;\tsize:2;"), None);
        for end in 0..FORMAT.len() {
            let _ = parse_format(&FORMAT[..end]);
            let _ = parse_format(&FORMAT[end..]);
        }
    }
}
