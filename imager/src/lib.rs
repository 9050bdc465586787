//! `piflash`, the laptop side: arguments → plan → bytes → card.
