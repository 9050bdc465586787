//! `piflash completions SHELL` and `piflash man`: from the same definitions as `--help`.

use std::io::{self, Write as _};

use clap::Command;
use clap_complete::generate;
use clap_mangen::Man;

use crate::cli::CompletionsArgs;
use crate::failure::{Exit, Failure};
use crate::progress::Console;

/// Prints completions for a shell.
///
/// # Errors
/// None.
pub fn completions(
    args: &CompletionsArgs,
    mut command: Command,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    generate(args.shell, &mut command, "piflash", &mut text);
    console.text(&text);
    Ok(Exit::Done)
}

/// Prints the manual page in roff, one page with a chapter for each subcommand.
///
/// # Errors
/// Rendering it.
pub fn page(mut command: Command, console: &Console) -> Result<Exit, Failure> {
    command.build();
    let text = render(&command).map_err(|error| {
        Failure::new(Exit::Failed, format!("rendering the manual page: {error}"))
    })?;
    console.text(&text);
    Ok(Exit::Done)
}

fn render(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let mut chapter = Vec::new();
        let man = Man::new(sub.clone());
        man.render_synopsis_section(&mut chapter)?;
        man.render_description_section(&mut chapter)?;
        man.render_options_section(&mut chapter)?;
        // What is a chapter of a page of its own is a section here.
        let chapter = String::from_utf8_lossy(&chapter).replace(".SH ", ".SS ");
        writeln!(text, ".SH \"PIFLASH {}\"\n{chapter}", sub.get_name().to_uppercase())?;
    }
    Ok(text)
}
