//! Machines that stay on while the test does other things: each in the care of a thread of its own, which boots it again
//! whenever its guest reboots.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Ending, Machine};
use crate::card::Card;

/// How often a thread looks after its machine.
const LOOK: Duration = Duration::from_millis(200);

/// A machine with a card in it, switched on. Dropping it cuts its power.
#[derive(Debug)]
pub struct Powered {
    /// Ends the thread, and with it the machine.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    boots: u32,
    /// How it ended: none while it is on.
    ending: Option<Result<(), String>>,
    /// Where the console of this boot is, and how it ends.
    console: String,
}

impl Powered {
    /// Switches the power on with this card inside.
    #[must_use]
    pub fn on(machine: impl Machine + Send + 'static, card: &Card) -> Self {
        let (stop, stopped) = channel();
        let state = Arc::new(Mutex::new(State::default()));
        let (of_thread, card) = (Arc::clone(&state), card.clone());
        let thread = std::thread::spawn(move || {
            let ending = tend(&machine, &card, &stopped, &of_thread);
            lock(&of_thread).ending = Some(ending.map_err(|error| format!("{error:#}")));
        });
        Self { stop: Some(stop), thread: Some(thread), state }
    }

    /// How often it has booted.
    #[must_use]
    pub fn boots(&self) -> u32 {
        lock(&self.state).boots
    }

    /// Nothing, as long as it is on.
    ///
    /// # Errors
    /// When it is off: it crashed, or its guest powered it off.
    pub fn is_on(&self) -> Result<()> {
        match &lock(&self.state).ending {
            None => Ok(()),
            Some(Ok(())) => bail!("powered itself off"),
            Some(Err(reason)) => bail!("{reason}"),
        }
    }

    /// For an error: the console's log file and how it ends.
    #[must_use]
    pub fn where_it_was(&self) -> String {
        lock(&self.state).console.clone()
    }

    /// Waits until its guest has powered it off.
    ///
    /// # Errors
    /// When it crashes, or is still on after `limit`.
    pub fn wait_for_power_off(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match &lock(&self.state).ending {
                Some(Ok(())) => return Ok(()),
                Some(Err(reason)) => bail!("{reason}"),
                None => {}
            }
            std::thread::sleep(LOOK);
        }
        bail!("still on after {} s{}", limit.as_secs(), self.where_it_was())
    }

    /// Cuts the power: SIGKILL. What the guest had not written to its card is gone.
    pub fn cut(self) {
        drop(self);
    }
}

impl Drop for Powered {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Boots again after every reboot, until the guest powers the machine off or nobody wants it on any more.
fn tend(
    machine: &impl Machine,
    card: &Card,
    stopped: &Receiver<()>,
    state: &Mutex<State>,
) -> Result<()> {
    loop {
        let mut running = machine.boot(card)?;
        lock(state).boots += 1;
        loop {
            lock(state).console = running.where_it_was();
            if running.ends_within(Duration::ZERO)? {
                break;
            }
            // the sender is never used: it is there, or gone
            if stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                running.power_cut();
                return Ok(());
            }
        }
        if running.wait_for_end(LOOK)? == Ending::PowerOff {
            return Ok(());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
