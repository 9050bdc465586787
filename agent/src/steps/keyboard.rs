//! Keyboard layout (keyboard(5)). What the console does with it is of no consequence to a node without a screen.

use super::{edit, owed};
use crate::host::{Command, Host, Look};
use crate::plan::Context;
use crate::render::{KEYBOARD, keyboard_file};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "keyboard",
    title: "keyboard",
    class: Class::Comfort,
    wanted: |plan| plan.system.keyboard.is_some(),
    check,
    apply,
    ahead: None,
};

/// Of the package console-setup; `--save-only` makes what the console loads at boot (setupcon(1)).
const SETUPCON: [&str; 2] = ["/usr/bin/setupcon", "/bin/setupcon"];

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(keyboard) = &context.plan.system.keyboard else { return Ok(Check::Satisfied) };
    let mut reasons = Vec::new();
    let now = host.text(KEYBOARD)?.unwrap_or_default();
    if keyboard_file(&now, keyboard) != now {
        reasons.push(format!("`{KEYBOARD}` does not say `{keyboard}`"));
    }
    if owed::is(host, "setupcon")? {
        reasons.push("the console has not been told".to_owned());
    }
    Ok(Check::of(reasons, false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(keyboard) = &context.plan.system.keyboard else { return Ok(Notes::new()) };
    let now = host.text(KEYBOARD)?.unwrap_or_default();
    let wanted = keyboard_file(&now, keyboard);
    if wanted != now {
        owed::note(host, "setupcon")?;
        edit(host, KEYBOARD, &wanted)?;
    }
    let mut notes = Notes::new();
    if host.exists(SETUPCON[0])? || host.exists(SETUPCON[1])? {
        // There may be no console, or no keymaps for one: neither matters.
        if let Err(error) = host.run(&Command::new("setupcon", ["--save-only"])) {
            notes.push(error.to_string());
        }
    }
    owed::settle(host, "setupcon")?;
    Ok(notes)
}
