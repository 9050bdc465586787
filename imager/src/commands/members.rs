//! The nodes of a cluster's file, each with what the file and the command line say of it, and what is wrong with it.

use std::path::Path;
use std::rc::Rc;

use pikube_config::{Problem, Problems, Role};

use super::write::laptop;
use super::{clusters, settings};
use crate::boot::NodeFiles;
use crate::cli::{Given, Words, WriteArgs};
use crate::cluster_file::{ClusterFile, FileNode};
use crate::failure::{Exit, Failure};
use crate::moment;
use crate::plan::{self, Laptop, PlanError, Settings};

/// One node of the file, as far as it is known without its cluster.
pub(super) struct Member {
    pub(super) hostname: String,
    pub(super) args: WriteArgs,
    pub(super) settings: Rc<Settings>,
    pub(super) node: NodeFiles,
}

/// What was typed: of all nodes, or of those that were named.
struct Line {
    words: Words,
    /// The nodes that it is about, with what is each one's own; absent: all.
    named: Option<Vec<(String, Words)>>,
}

/// What the file and the command line say, of the whole cluster and of each node.
///
/// # Errors
/// Everything that is wrong with the file.
pub(super) fn read(args: &WriteArgs, path: &Path) -> Result<(WriteArgs, Vec<Member>), Failure> {
    let line = Line::of(args)?;
    let mut problems = Problems::default();
    let store = clusters::store()?;
    let file = ClusterFile::read(path, store.owner().home(), &mut problems);
    let file = file.map_err(|why| {
        Failure::new(Exit::Usage, format!("reading cluster file `{}`: {why}", path.display()))
    })?;
    let laptop = laptop();
    let mut members: Vec<Member> = Vec::new();
    for node in file.nodes() {
        let typed = line.about(&node.hostname);
        let mut note = |(option, message): (String, String)| {
            let key = file.key(node, &typed, &option);
            if !problems.0.iter().any(|known| known.key == key && known.message == message) {
                problems.push(Problem::new(key, message));
            }
        };
        match member(&file, node, &typed, args, &laptop) {
            Ok(member) => {
                clashes(&members, &member.node).into_iter().for_each(&mut note);
                members.push(member);
            }
            Err(wrong) => wrong.into_iter().for_each(&mut note),
        }
    }
    problems.or(()).map_err(|problems| {
        let message = format!("cluster file `{}`:\n{problems}", path.display());
        Failure::new(Exit::Usage, message)
    })?;
    let mut common = line.words.over(file.common());
    // It is about no node, but a command line has one.
    common.set("hostname", Given::Values(vec!["node".into()]));
    let parsed = common.parse(&args.cards);
    let common = parsed.map_err(|error| Failure::new(Exit::Usage, first_line(&error)))?;
    Ok((common, members))
}

/// One node; what is wrong with it, by option.
fn member(
    file: &ClusterFile,
    node: &FileNode,
    typed: &Words,
    args: &WriteArgs,
    laptop: &Laptop,
) -> Result<Member, Vec<(String, String)>> {
    let whole = |message: String| vec![(String::new(), message)];
    let parsed = file.words(node, typed).parse(&args.cards);
    let args = parsed.map_err(|error| whole(first_line(&error)))?;
    let settings = settings::of(&args.settings).map_err(|failure| whole(failure.message))?;
    // Its cluster may know better.
    let role = args.role.map_or(Role::Worker, Into::into);
    let identity = [(node.hostname.clone(), role)];
    let planned = plan::nodes(&identity, &settings, laptop, moment::flashing());
    let mut nodes = planned.map_err(|error| match error {
        PlanError::Settings(wrong) => {
            wrong.0.into_iter().map(|problem| (problem.key, problem.message)).collect()
        }
        other => whole(other.to_string()),
    })?;
    // One name, one node.
    let node = nodes.remove(0);
    let hostname = node.plan.node.hostname.clone();
    Ok(Member { hostname, args, settings: Rc::new(settings), node })
}

impl Line {
    fn of(args: &WriteArgs) -> Result<Self, Failure> {
        let mut words = args.given.clone();
        let addresses = words.values("address");
        for about_the_run in ["config", "all", "again", "hostname", "address"] {
            words.take(about_the_run);
        }
        let Some(asked) = &args.hostname else {
            if addresses.is_empty() {
                return Ok(Self { words, named: None });
            }
            let message = "`--address` is about one node, and `--all` writes those of the file";
            return Err(Failure::new(Exit::Usage, message).help("put it into the file"));
        };
        let names = plan::host_names(asked)?;
        let split = plan::split_addresses(&addresses, names.len());
        let split =
            split.map_err(|why| Failure::new(Exit::Usage, format!("`--address`: {why}")))?;
        let own = |addresses: Vec<String>| {
            let mut own = Words::default();
            if !addresses.is_empty() {
                own.set("address", Given::Values(addresses.into_iter().map(Into::into).collect()));
            }
            own
        };
        Ok(Self { words, named: Some(names.into_iter().zip(split.into_iter().map(own)).collect()) })
    }

    /// What was typed of this node.
    fn about(&self, hostname: &str) -> Words {
        match &self.named {
            None => self.words.clone(),
            Some(named) => match named.iter().find(|(name, _)| name == hostname) {
                Some((_, own)) => own.over(&self.words),
                None => Words::default(),
            },
        }
    }
}

/// What clap has to say, in a line.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// What two nodes of the file cannot both have.
fn clashes(members: &[Member], new: &NodeFiles) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let role = |node: &NodeFiles| node.plan.node.role;
    let master = members.iter().find(|member| role(&member.node) == Role::Master);
    if let (Some(master), Role::Master) = (master, role(new)) {
        found.push(("--role".to_owned(), format!("`{}` is the master already", master.hostname)));
    }
    let addresses = |node: &NodeFiles| plan::static_addresses(&node.plan);
    for address in addresses(new) {
        if let Some(other) =
            members.iter().find(|member| addresses(&member.node).contains(&address))
        {
            found.push((
                "--address".to_owned(),
                format!("{address} is the address of `{}` already", other.hostname),
            ));
        }
    }
    found
}
