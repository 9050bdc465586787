//! A file that describes a whole cluster: the words of the command line as keys, those of all nodes first, then a table
//! `[[nodes]]` for each node, or for several whose names are a range.
//!
//! What is wrong with it is collected, so that one run shows it all.

mod table;

use std::path::{Path, PathBuf};

use clap::Arg;
use pikube_config::{Problem, Problems};
use toml::{Table, Value};

use crate::cli::{self, Given, Words};
use crate::{plan, small_file};
use table::{Level, Reader};

/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The list of nodes.
const NODES: &str = "nodes";

/// What such a file says.
#[derive(Debug)]
pub struct ClusterFile {
    /// Of all nodes.
    common: Words,
    /// In the order of the file.
    nodes: Vec<FileNode>,
}

/// One node of it.
#[derive(Debug)]
pub struct FileNode {
    /// Path of its table, `nodes[2]`.
    pub place: String,
    /// Its name.
    pub hostname: String,
    /// What its table says, for it alone.
    own: Words,
}

impl ClusterFile {
    /// Reads a file. What is wrong with it is added to `problems`; the rest of it is there to be looked at.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML: why.
    pub fn read(path: &Path, home: Option<&Path>, problems: &mut Problems) -> Result<Self, String> {
        let text = small_file::read_text(path, MAX_BYTES).map_err(|error| error.to_string())?;
        let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
        Self::parse(&text, folder, home, problems)
    }

    /// Understands its text; relative paths in it are from `folder`.
    ///
    /// # Errors
    /// It is not TOML: why.
    pub(crate) fn parse(
        text: &str,
        folder: PathBuf,
        home: Option<&Path>,
        problems: &mut Problems,
    ) -> Result<Self, String> {
        // toml's own Display quotes the line, in which somebody may have put a password.
        let top: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message().replace('\n', ", "))
        })?;
        Ok(Self::of(&top, folder, home, problems))
    }

    fn of(top: &Table, folder: PathBuf, home: Option<&Path>, problems: &mut Problems) -> Self {
        let reader = Reader { options: cli::options(), folder, home: home.map(Path::to_owned) };
        let common = reader.words(top, Level::Whole, "", problems);
        let mut file = Self { common, nodes: Vec::new() };
        let example = "each node has a table: `[[nodes]]`, and in it `hostname = \"pi01\"`";
        match top.get(NODES) {
            Some(Value::Array(tables)) if !tables.is_empty() => {
                for (index, table) in tables.iter().enumerate() {
                    file.add(&reader, format!("{NODES}[{index}]"), table, problems);
                }
            }
            None => problems.push(Problem::new(NODES, "is missing").help(example)),
            Some(_) => {
                problems.push(Problem::new(NODES, "must be a list of tables").help(example));
            }
        }
        file
    }

    /// The nodes of one table.
    fn add(&mut self, reader: &Reader, place: String, table: &Value, problems: &mut Problems) {
        let Value::Table(table) = table else {
            return problems.push(Problem::new(place, "must be a table"));
        };
        let mut own = reader.words(table, Level::Node, &place, problems);
        let hostname = format!("{place}.hostname");
        own.take("hostname");
        let names = match table.get("hostname") {
            Some(Value::String(expression)) => plan::host_names(expression),
            Some(_) => return,
            None => return problems.push(Problem::new(hostname, "is missing")),
        };
        let names = match names {
            Ok(names) => names,
            Err(error) => return problems.push(Problem::new(hostname, error.to_string())),
        };
        let split = plan::split_addresses(&own.values("address"), names.len());
        own.take("address");
        let split = split.unwrap_or_else(|message| {
            problems.push(Problem::new(format!("{place}.address"), message));
            vec![Vec::new(); names.len()]
        });
        for (name, addresses) in names.into_iter().zip(split) {
            if let Some(other) = self.nodes.iter().find(|node| node.hostname == name) {
                let message = format!("`{name}` is the name of `{}` already", other.place);
                problems.push(Problem::new(&hostname, message));
                continue;
            }
            let mut own = own.clone();
            if !addresses.is_empty() {
                let addresses = addresses.into_iter().map(Into::into).collect();
                own.set("address", Given::Values(addresses));
            }
            self.nodes.push(FileNode { place: place.clone(), hostname: name, own });
        }
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[FileNode] {
        &self.nodes
    }

    /// What is said of the whole cluster.
    pub fn common(&self) -> &Words {
        &self.common
    }

    /// What is said of a node; `line` has what was typed, which wins.
    pub fn words(&self, node: &FileNode, line: &Words) -> Words {
        let own = line.over(&node.own);
        let mut words = own.over(&self.common);
        // What all have in common, those with an address of their own have.
        if words.values("address").iter().all(|address| address.ends_with("dhcp")) {
            for option in ["router", "dns"].into_iter().filter(|option| !own.has(option)) {
                words.take(option);
            }
        }
        words.set("hostname", Given::Values(vec![node.hostname.clone().into()]));
        words
    }

    /// The key that says what an option's problem is about: of the node's table, of the file, or the option that was
    /// typed.
    pub fn key(&self, node: &FileNode, line: &Words, option: &str) -> String {
        match option.strip_prefix("--") {
            Some(long) if line.has(long) => option.to_owned(),
            Some(long) if self.common.has(long) && !node.own.has(long) => long.to_owned(),
            Some(long) => format!("{}.{long}", node.place),
            None => node.place.clone(),
        }
    }
}

/// The type of an option's value, where it is the path of a file.
fn is_path(option: &Arg) -> bool {
    option.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (ClusterFile, Vec<String>) {
        let mut problems = Problems::default();
        let home = Some(Path::new("/home/jean"));
        let file = ClusterFile::of(&text.parse().unwrap(), "/desk".into(), home, &mut problems);
        (file, problems.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_words_of_the_command_line_mean_the_same_here() {
        let (file, problems) = read(
            r#"
            cluster = "sea"
            timezone = "Europe/Paris"
            ssh-key = "~/.ssh/id.pub"
            password-file = "secret/password"
            image = "raspios-lite-arm64"
            ntp = ["a.example.org", "b.example.org"]
            usb-boot = true
            [[nodes]]
            hostname = "laperouse"
            role = "master"
            address = "192.168.1.20/24"
            [[nodes]]
            hostname = "pi[09-10]"
            address = ["192.168.1.[21-22]/24", "wlan0=dhcp"]
            timezone = "Europe/Brest"
            usb-boot = false
            swap = "keep"
            "#,
        );
        assert_eq!(problems, [""; 0]);
        let mut line = Words::default();
        line.set("keyboard", Given::Values(vec!["gb".into()]));
        line.set("swap", Given::Values(vec!["off".into()]));
        let names: Vec<&str> = file.nodes().iter().map(|node| node.hostname.as_str()).collect();
        assert_eq!(names, ["laperouse", "pi09", "pi10"]);
        let args = |n: usize| file.words(&file.nodes()[n], &line).parse(&["c".into()]).unwrap();
        let (first, last) = (args(0), args(2));
        assert_eq!(first.settings.ssh_key, [PathBuf::from("/home/jean/.ssh/id.pub")]);
        assert_eq!(first.settings.password_file, Some("/desk/secret/password".into()));
        assert_eq!(first.image.image.as_deref(), Some("raspios-lite-arm64"));
        assert_eq!(first.settings.ntp, ["a.example.org", "b.example.org"]);
        assert_eq!(first.cluster.cluster.as_deref(), Some("sea"));
        assert!(first.extras.usb_boot && !last.extras.usb_boot);
        assert_eq!(first.settings.timezone.as_deref(), Some("Europe/Paris"));
        assert_eq!(last.settings.timezone.as_deref(), Some("Europe/Brest"));
        assert_eq!(last.settings.address, ["192.168.1.22/24", "wlan0=dhcp"]);
        assert_eq!(last.settings.swap, Some(cli::SwapArg::Off), "what is typed wins");
        assert_eq!(last.settings.keyboard.as_deref(), Some("gb"));
        let key = |option| file.key(&file.nodes()[2], &line, option);
        assert_eq!(key("--timezone"), "nodes[1].timezone");
        assert_eq!((key("--ntp"), key("--swap")), ("ntp".into(), "--swap".into()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let (_, problems) = read(
            r#"
            time-zone = "Europe/Paris"
            ssh_key = "a"
            password = "swordfish"
            yes = true
            ntp = 7
            swap = "Keep"
            hostname = "x"
            [[nodes]]
            hostname = "pi[01-02]"
            address = "10.0.0.[1-3]/24"
            image = "os.img"
            pod-network = "none"
            wifi-password = "swordfish"
            usb-boot = "yes"
            [[nodes]]
            hostname = "pi02"
            role = "captain"
            [[nodes]]
            hostname = "Pi"
            [[nodes]]
            user = "jean"
            "#,
        );
        let expected = [
            "`time-zone`: is not a known key (did you mean `timezone`?)",
            "`ssh_key`: is not a known key (did you mean `ssh-key`?)",
            "`password`: a password does not belong into this file (",
            "`yes`: is about one run, not about the cluster (",
            "`ntp`: must be a string or a list of strings, not an integer",
            "`swap`: `Keep` is none of off, keep",
            "`hostname`: is about one node (",
            "`nodes[0].image`: is about the whole cluster (",
            "`nodes[0].pod-network`: is about the whole cluster (",
            "`nodes[0].wifi-password`: a password does not belong",
            "`nodes[0].usb-boot`: must be true or false, not a string",
            "`nodes[0].address`: `10.0.0.[1-3]/24` has 3 address(es) for 2 node(s)",
            "`nodes[1].role`: `captain` is none of master, control-plane, worker",
            "`nodes[1].hostname`: `pi02` is the name of `nodes[0]` already",
            "`nodes[2].hostname`: host name `Pi` has the upper-case letter",
            "`nodes[3].hostname`: is missing",
        ];
        for part in expected {
            let found = problems.iter().filter(|problem| problem.starts_with(part)).count();
            assert_eq!(found, 1, "{part} in\n{}", problems.join("\n"));
        }
        assert_eq!(problems.len(), expected.len(), "{}", problems.join("\n"));
        assert!(!problems.concat().contains("swordfish"));
        assert!(read("cluster = \"a\"").1[0].contains("`nodes`: is missing"));
        assert!(read("[nodes]\nhostname = \"a\"").1[0].contains("[[nodes]]"));
    }
}
