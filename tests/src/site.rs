//! What a test of nodes on a network needs, together: a workshop for the cards of one image, a switch with a machine
//! on it, and a person at the laptop who can log in.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::images;
use crate::machine::uml::Uml;
use crate::machine::{Ending, Running};
use crate::needs::{self, Missing};
use crate::node::{BOOT_LIMIT, Node, Order, USER, Workshop};
use crate::ssh::{Login, Person};
use crate::switch::{Cable, Lease, Switch};

const MEMORY_MIB: u32 = 768;
/// A node that has said that it is up: what it may still be busy with takes seconds. Generous, as ever.
const SOON: Duration = Duration::from_secs(300);
/// How long one address is tried.
const LOOK: Duration = Duration::from_secs(5);

/// A place for one node on a network. Machines and network are gone when dropped.
#[derive(Debug)]
pub struct Site {
    /// Writes cards.
    pub workshop: Workshop,
    /// The network.
    pub switch: Switch,
    /// Whose key opens the nodes.
    pub person: Person,
    cable: Cable,
    machine: Uml,
}

/// A node that is up, and the person logged in to it.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Runs commands on it.
    pub login: Login<'a>,
    running: Running,
}

impl Site {
    /// A site for cards of this image, for an amd64 twin; `None` where this computer cannot have one, after a line
    /// that says why.
    ///
    /// # Errors
    /// When the network cannot be made.
    ///
    /// # Panics
    /// As [`needs::or_skip`].
    pub fn new(image: &str) -> Result<Option<Self>> {
        let Some((workshop, machine)) = needs::or_skip(image, parts(image)) else {
            return Ok(None);
        };
        let (switch, person) = (Switch::new()?, Person::new()?);
        let cable = switch.cable()?;
        let machine = machine.plugged_into(cable.clone());
        Ok(Some(Self { workshop, switch, person, cable, machine }))
    }

    /// The beginning of an order: a master with the login user of the tests, who has the person's key and no password.
    #[must_use]
    pub fn order(&self, hostname: &str) -> Order {
        let order = Order::new("master", hostname).with("--user", USER);
        order.with("--ssh-key", self.person.public_key())
    }

    /// Boots a card, through all its reboots, until the agent rests and the login user is in by ssh at this address, or
    /// at the one that the DHCP server gave away.
    ///
    /// # Errors
    /// When the node does not come up, does not answer, or does not let the key in.
    pub fn visit(&self, node: &Node, address: Option<&str>) -> Result<Visit<'_>> {
        let running = node.start(&self.machine)?;
        let reach = || -> Result<Login<'_>> {
            let end = Instant::now() + SOON;
            let address = loop {
                // an earlier boot may have had another lease, and the newest may still be on its way
                let given = match address {
                    Some(address) => Some(address.to_owned()),
                    None => self.lease()?.map(|lease| lease.address),
                };
                let given = given.context("the DHCP server gave no address away");
                match given.and_then(|given| self.switch.answers(&given, LOOK).map(|()| given)) {
                    Ok(given) => break given,
                    Err(error) if Instant::now() > end => return Err(error),
                    Err(_) => std::thread::sleep(Duration::from_secs(1)),
                }
            };
            let login = self.person.login(&self.switch, USER, &address);
            login.wait(SOON)?;
            Ok(login)
        };
        let login = reach().with_context(|| format!("the node is up{}", running.where_it_was()))?;
        Ok(Visit { login, running })
    }

    /// What the DHCP server gave the machine, most recently.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub fn lease(&self) -> Result<Option<Lease>> {
        let leases = self.switch.leases()?;
        let own = leases.into_iter().filter(|lease| lease.mac == self.cable.mac());
        Ok(own.max_by_key(|lease| lease.until_s))
    }
}

impl Visit<'_> {
    /// Powers the node off, in order.
    ///
    /// # Errors
    /// When it does not.
    pub fn leave(mut self) -> Result<()> {
        // the connection goes down with the node: what ssh says of it does not matter
        self.login.output("sudo -n systemctl poweroff")?;
        let ending = self.running.wait_for_end(BOOT_LIMIT)?;
        ensure!(ending == Ending::PowerOff, "rebooted instead of powering off");
        Ok(())
    }
}

fn parts(image: &str) -> Result<(Workshop, Uml), Missing> {
    Switch::needs()?;
    Person::needs()?;
    let consoles = PathBuf::from("target/tmp/pikube-test-consoles/network");
    let logs = needs::clone_root().join(consoles).join(image);
    Ok((Workshop::new(images::image(image), "amd64")?, Uml::new(MEMORY_MIB, logs)?))
}
