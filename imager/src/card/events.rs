//! What a card tells while it is written; `progress` shows it.

/// Part of the work on one card, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The old partition table is destroyed.
    Erase,
    /// Everything behind the boot partition is streamed to the card.
    Write,
    /// The card's own boot partition is written.
    BootPartition,
    /// Everything is read back and compared.
    Verify,
    /// The start of the card, withheld until now, makes it bootable.
    Finish,
}

/// Something happened to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins.
    Phase(Phase),
    /// So many bytes of the phase are done. Within a phase `done_bytes` never goes back.
    Bytes {
        /// Bytes done.
        done_bytes: u64,
        /// Bytes of the whole phase, where known.
        total_bytes: Option<u64>,
    },
}

/// Receives the events of all cards. Called from each card's own thread, several times a second: be quick.
pub trait Events: Sync {
    /// `card` is the index of the card's job.
    fn event(&self, card: usize, event: Event);
}

/// Nobody is listening.
impl Events for () {
    fn event(&self, _card: usize, _event: Event) {}
}
