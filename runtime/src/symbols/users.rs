//! The names of users, by /etc/passwd.

use std::collections::HashMap;
use std::fs;

/// Where users are listed.
const PASSWD: &str = "/etc/passwd";

/// Names users; the list is read when the first one is asked for.
#[derive(Debug, Default)]
pub struct Users {
    names: Option<HashMap<u32, String>>,
}

impl Users {
    /// The name of the user `uid`; of one that is not listed the number.
    pub fn name(&mut self, uid: u32) -> String {
        let listed = || parse(&String::from_utf8_lossy(&fs::read(PASSWD).unwrap_or_default()));
        let names = self.names.get_or_insert_with(listed);
        names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// `NAME:PASSWORD:UID:...`, of which the first line for a number counts.
fn parse(text: &str) -> HashMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    let mut names = HashMap::new();
    for (uid, name) in text.lines().filter_map(entry) {
        names.entry(uid).or_insert(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let names = parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n:x:1:\nshort:x\n# note\nfar:x:70000:1:::\n");
        let expected = [(0, "root"), (70000, "far")].map(|(uid, name)| (uid, name.to_owned()));
        assert_eq!(names, HashMap::from(expected));
    }

    #[test]
    fn who_is_not_listed_is_a_number() {
        let mut users = Users { names: Some(parse("root:x:0:0:\n")) };
        assert_eq!((users.name(0), users.name(4321)), ("root".to_owned(), "4321".to_owned()));
    }
}
