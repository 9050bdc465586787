//! A cluster of booted nodes: cards of one inventory, each in a machine of its own on one switch, with everything that
//! they install on the laptop beside them. Nobody logs in before a node is done, and then only to ask.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::images;
use crate::internet::{Internet, Kubernetes};
use crate::machine::pc::{self, Pc};
use crate::machine::uml::Uml;
use crate::machine::{Machine as _, Powered, Running};
use crate::needs::{self, Missing};
use crate::node::{Node, Order, TIMEZONE, USER, Workshop};
use crate::ssh::{Login, Person};
use crate::switch::{Cable, LAPTOP, Switch};

/// Room for a system, docker and Kubernetes.
const CARD_BYTES: u64 = 6 << 30;
/// Exit codes of `pikube-agent status`.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const RUNNING: i32 = 2;
/// Between two looks at a node that is not there yet. Each is a login, which takes a second of both processors of a
/// machine that is emulated: with a real Kubernetes on it, it needs them itself.
const PAUSE: Duration = Duration::from_secs(2);
const REAL_PAUSE: Duration = Duration::from_secs(20);

/// What the nodes of a cluster have in common. All of it is gone when dropped.
#[derive(Debug)]
pub struct Cluster {
    /// Beyond the router.
    pub internet: Internet,
    /// The network.
    pub switch: Switch,
    /// Whose key opens the nodes.
    pub person: Person,
    /// piflash's inventory, and its kubeconfig when asked for.
    state: TempDir,
    /// Name of the test, for the logs.
    test: String,
    kubernetes: Kubernetes,
}

/// What a member of a cluster is made of.
#[derive(Debug)]
pub struct Seat<'a> {
    /// Name of the image: that of an amd64 twin.
    pub image: &'a str,
    /// `master`, `worker` or `control-plane`.
    pub role: &'a str,
    /// Host name.
    pub name: &'a str,
    /// A static address on the switch; none: the DHCP server's.
    pub address: Option<&'a str>,
    /// Memory of its machine; a control plane wants 1700 MB.
    pub memory_mib: u32,
}

/// A node that is a member of a cluster, and a machine for it.
#[derive(Debug)]
pub struct Member {
    /// Its card.
    pub node: Node,
    name: String,
    address: Option<String>,
    cable: Cable,
    machine: Computer,
    logs: PathBuf,
}

/// What a member runs on.
#[derive(Debug, Clone)]
enum Computer {
    Uml(Uml),
    Pc(Pc),
}

impl Cluster {
    /// A place for a cluster of stand-ins in User Mode Linux; `None` where this computer cannot have one, after a line that
    /// says why.
    ///
    /// # Errors
    /// When the network or its servers cannot be made.
    ///
    /// # Panics
    /// As [`needs::or_skip`].
    pub fn new(test: &str) -> Result<Option<Self>> {
        Self::of(test, Kubernetes::StandIns)
    }

    /// The same for a real Kubernetes, on computers of QEMU.
    ///
    /// # Errors
    /// As [`Cluster::new`].
    ///
    /// # Panics
    /// As [`needs::or_skip`].
    pub fn real(test: &str) -> Result<Option<Self>> {
        Self::of(test, Kubernetes::Real)
    }

    fn of(test: &str, kubernetes: Kubernetes) -> Result<Option<Self>> {
        let computers = || if kubernetes == Kubernetes::Real { Pc::needs() } else { Ok(()) };
        let needed = Switch::needs()
            .and_then(|()| Person::needs())
            .and_then(|()| Internet::needs(kubernetes))
            .and_then(|()| computers());
        if needs::or_skip(test, needed).is_none() {
            return Ok(None);
        }
        let switch = Switch::new()?;
        let internet = Internet::of(&switch, kubernetes)?;
        let state = tempfile::Builder::new().prefix("pikube-test-cluster").tempdir()?;
        let test = test.to_owned();
        Ok(Some(Self { internet, switch, person: Person::new()?, state, test, kubernetes }))
    }

    /// Writes the card of a member with these further options, and finds a machine for it. The first one of a cluster is
    /// its master.
    ///
    /// # Errors
    /// When something is missing, or piflash fails; with what it said.
    pub fn member(&self, seat: &Seat<'_>, more: &Order) -> Result<Member> {
        let mut order = Order::changes()
            .with("--role", seat.role)
            .with("--hostname", seat.name)
            .with("--timezone", TIMEZONE)
            .with("--user", USER)
            .with("--ssh-key", self.person.public_key());
        if let Some(address) = seat.address {
            order = order
                .with("--address", format!("{address}/24"))
                .with("--router", LAPTOP)
                .with("--dns", LAPTOP);
        }
        let order = order.and(&self.internet.order()).and(more);
        let node = self.workshop(seat.image)?.write_only(CARD_BYTES, &order)?;
        self.internet.introduce(node.card())?;
        let cable = self.switch.cable()?;
        let logs = needs::clone_root()
            .join("target/tmp/pikube-test-consoles/cluster")
            .join(&self.test)
            .join(seat.name);
        let machine = match self.kubernetes {
            Kubernetes::StandIns => {
                Computer::Uml(Uml::new(seat.memory_mib, &logs)?.plugged_into(cable.clone()))
            }
            Kubernetes::Real => Computer::Pc(Pc::new(seat.memory_mib, &logs, cable.clone())?),
        };
        let address = seat.address.map(str::to_owned);
        Ok(Member { node, name: seat.name.to_owned(), address, cable, machine, logs })
    }

    /// Where cards of this image are written for this cluster.
    fn workshop(&self, image: &str) -> Result<Workshop, Missing> {
        let catalogue =
            self.internet.catalogue().map_err(|error| Missing::new(error, "disk full?"))?;
        let image = match self.kubernetes {
            Kubernetes::StandIns => images::image(image),
            Kubernetes::Real => pc::image(image),
        };
        Ok(Workshop::new(image, "amd64")?
            .with("PIKUBE_STATE_DIR", self.state.path().join("state"))
            .with("PIKUBE_KUBERNETES", catalogue))
    }

    /// The kubeconfig that piflash makes, in a file; no node has to be there for it.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let mut command = std::process::Command::new(needs::piflash()?);
        command.arg("kubeconfig").env("PIKUBE_STATE_DIR", self.state.path().join("state"));
        let output = command.output().context("starting piflash")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "piflash kubeconfig: {}: {error}", output.status);
        let path = self.state.path().join("kubeconfig");
        std::fs::write(&path, output.stdout)?;
        Ok(path)
    }

    /// Runs kubectl on the laptop, whatever comes of it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kubectl(
        &self,
        program: &std::path::Path,
        kubeconfig: &std::path::Path,
        words: &[&str],
    ) -> Result<Output> {
        let mut command = self.switch.command(&program.display().to_string());
        command.arg("--kubeconfig").arg(kubeconfig).args(words);
        command.output().context("starting kubectl")
    }

    /// Where a member is on the network; none: the DHCP server has not given it an address yet.
    ///
    /// # Errors
    /// When the list of the DHCP server cannot be read.
    pub fn address(&self, member: &Member) -> Result<Option<String>> {
        if member.address.is_some() {
            return Ok(member.address.clone());
        }
        let leases = self.switch.leases()?.into_iter();
        let own = leases.filter(|lease| lease.mac == member.cable.mac());
        Ok(own.max_by_key(|lease| lease.until_s).map(|lease| lease.address))
    }

    /// A way to log in to a member.
    ///
    /// # Errors
    /// When nobody knows where it is.
    pub fn login(&self, member: &Member) -> Result<Login<'_>> {
        let address = self.address(member)?;
        let address = address.with_context(|| format!("{} has no address", member.name))?;
        Ok(self.person.login(&self.switch, USER, &address))
    }

    /// Waits until a member says that it is done, and returns its status: the JSON of its agent.
    ///
    /// # Errors
    /// When its machine is off, its agent has failed, or `limit` has passed; with what it said, or where it was.
    pub fn done(&self, member: &Member, power: &Powered, limit: Duration) -> Result<String> {
        self.standing(member, power, limit, |_| false)
    }

    /// Waits until a member is done, or says what `is_it` looks for in its status, which it returns: the JSON of its
    /// agent.
    ///
    /// # Errors
    /// As [`Cluster::done`].
    pub fn standing(
        &self,
        member: &Member,
        power: &Powered,
        limit: Duration,
        is_it: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let name = member.name();
        self.until(member, power, limit, |code, said| match code {
            DONE => Ok(true),
            FAILED => bail!("{name} failed: {said}"),
            _ => Ok(is_it(said)),
        })
    }

    /// Waits until a member says that a person has to do something, and returns its status: the JSON of its agent.
    ///
    /// # Errors
    /// When its machine is off, it is done, or `limit` has passed; with what it said, or where it was.
    pub fn failed(&self, member: &Member, power: &Powered, limit: Duration) -> Result<String> {
        let name = member.name();
        self.until(member, power, limit, |code, said| match code {
            DONE => bail!("{name} is done: {said}"),
            code => Ok(code == FAILED),
        })
    }

    /// Asks a member for its status until it is `it`: by exit code and JSON.
    fn until(
        &self,
        member: &Member,
        power: &Powered,
        limit: Duration,
        it: impl Fn(i32, &str) -> Result<bool>,
    ) -> Result<String> {
        let name = member.name();
        let end = Instant::now() + limit;
        loop {
            power.is_on().with_context(|| name.to_owned())?;
            let (code, said) = self.ask(member)?;
            // sudo and ssh fail with codes of the agent's, without JSON
            let code =
                code.filter(|code| [DONE, FAILED, RUNNING].contains(code) && said.starts_with('{'));
            if let Some(code) = code
                && it(code, &said)?
            {
                return Ok(said);
            }
            ensure!(
                Instant::now() < end,
                "{name} is not there within {} s: {said}{}",
                limit.as_secs(),
                power.where_it_was()
            );
            std::thread::sleep(match self.kubernetes {
                Kubernetes::StandIns => PAUSE,
                Kubernetes::Real => REAL_PAUSE,
            });
        }
    }

    /// The status of a member and the exit code that came with it, or what ssh said.
    fn ask(&self, member: &Member) -> Result<(Option<i32>, String)> {
        if self.address(member)?.is_none() {
            return Ok((None, "it has no address".to_owned()));
        }
        let ask = "sudo -n /usr/local/lib/pikube/pikube-agent status --format json";
        let answer = self.login(member)?.output(ask)?;
        let said = if answer.stdout.is_empty() { answer.stderr } else { answer.stdout };
        Ok((answer.status.code(), String::from_utf8_lossy(&said).trim_end().to_owned()))
    }
}

impl Member {
    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps a text beside the logs of its consoles, for a person who wants to know how it went.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, what: &str, text: &str) -> Result<()> {
        std::fs::create_dir_all(&self.logs)?;
        let path = self.logs.join(format!("{what}.txt"));
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Boots its machine once, for a test that cuts its power itself.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn boot(&self) -> Result<Running> {
        match &self.machine {
            Computer::Uml(machine) => machine.boot(self.node.card()),
            Computer::Pc(machine) => machine.boot(self.node.card()),
        }
    }

    /// Switches its machine on.
    #[must_use]
    pub fn power_on(&self) -> Powered {
        match self.machine.clone() {
            Computer::Uml(machine) => Powered::on(machine, self.node.card()),
            Computer::Pc(machine) => Powered::on(machine, self.node.card()),
        }
    }

    /// What kind of computer it runs on, for a person who reads times.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.machine {
            Computer::Uml(_) => "User Mode Linux",
            Computer::Pc(machine) => machine.kind(),
        }
    }
}
