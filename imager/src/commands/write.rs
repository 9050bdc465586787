//! The main job: image and settings in, prepared cards out.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::dry_run;
use crate::agents::Agents;
use crate::boot::{self, Prepared, Survey};
use crate::card::guard::{self, Request, Target};
use crate::card::{self, Job, Options, System};
use crate::cli::Args;
use crate::failure::{Exit, Failure};
use crate::image::{self, ByteSize, Head, Rest};
use crate::plan::{self, Laptop, Settings};
use crate::progress::Console;

/// Writes the cards; nothing is touched before everything that can be wrong has been looked at.
///
/// # Errors
/// What stopped all cards. Cards that fail one by one are told on the console; the worst is returned as exit code.
pub fn run(args: &Args, console: &Console, interrupted: &AtomicBool) -> Result<Exit, Failure> {
    let nodes = plan::nodes(&settings(args)?, &laptop(), args.cards.len(), Timestamp::now())?;
    let agents = match &args.agent_dir {
        Some(folder) => Agents::from_folder(folder)?,
        None => Agents::built_in(),
    };
    let image = image::open(&args.image)?;
    let request = Request {
        image: Some((image.path().to_owned(), image.identity())),
        image_bytes: image.size_bytes(),
    };
    let targets = targets(&args.cards, &request)?;
    console.note(&format!("reading {}", args.image.display()));
    let (head, rest) = image.into_head(interrupted, &mut |_| {})?;
    let survey = boot::survey(&head)?;
    console.note(&describe(&head, &rest, &survey));
    for node in nodes.iter().filter(|node| !plan::has_login(node)) {
        console.warn(&format!(
            "nobody can log in to `{}`: there is no ssh key and no password",
            node.plan.node.hostname
        ));
    }
    let prepared = nodes
        .iter()
        .map(|node| boot::prepare(&head, &survey.os, node, &agents))
        .collect::<Result<Vec<_>, _>>()?;
    if args.dry_run {
        for ((target, node), prepared) in targets.iter().zip(&nodes).zip(&prepared) {
            let (card, name) = (target.describe(), &node.plan.node.hostname);
            console.result(&format!("{name} on {card}\n{}", dry_run::describe(&prepared.edits)));
        }
        console.note("nothing was written");
        return Ok(Exit::Done);
    }
    confirm(args, console, &targets)?;
    write(args, console, interrupted, Work { head, rest, targets, prepared })
}

struct Work {
    head: Head,
    rest: Rest,
    targets: Vec<Target>,
    prepared: Vec<Prepared>,
}

fn write(
    args: &Args,
    console: &Console,
    interrupted: &AtomicBool,
    work: Work,
) -> Result<Exit, Failure> {
    let system = System::default();
    let mut jobs = Vec::new();
    for (target, prepared) in work.targets.iter().zip(work.prepared) {
        jobs.push(Job::new(card::open(&system, target)?, prepared.patch));
    }
    let options = Options { verify: !args.no_verify };
    let progress = console.follow(work.targets.iter().map(|target| target.path.as_path()));
    let results = card::write(&work.head, work.rest, jobs, &options, &progress, interrupted);
    drop(progress);
    let mut worst = Exit::Done;
    for (target, result) in work.targets.iter().zip(results) {
        let path = target.path.display();
        match result {
            Ok(written) => {
                let rate = written.bytes as f64 / 1e6 / written.seconds.max(0.001);
                console.result(&format!(
                    "{path}: {}, {} in {:.1} s ({rate:.1} MB/s)",
                    if written.verified { "written and verified" } else { "written, not verified" },
                    ByteSize(written.bytes).short(),
                    written.seconds,
                ));
            }
            Err(failure) => {
                let failure = Failure::from(failure);
                worst = worst.max(failure.exit);
                console.fail(&failure);
            }
        }
    }
    Ok(worst)
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let password = args.password_file.as_deref().map(plan::hash_password_file).transpose()?;
    Ok(Settings {
        hostname: args.hostname.clone(),
        role: args.role.into(),
        timezone: args.timezone.clone(),
        ntp: args.ntp.clone(),
        locale: args.locale.clone(),
        keyboard: args.keyboard.clone(),
        user: args.user.clone(),
        ssh_keys: plan::read_key_files(&args.ssh_key)?,
        password,
        swap: args.swap.into(),
    })
}

fn laptop() -> Laptop {
    Laptop::ask("/".as_ref(), |name| std::env::var(name).ok())
}

/// Looks at every card before anything else costs time.
fn targets(cards: &[PathBuf], request: &Request) -> Result<Vec<Target>, Failure> {
    let system = System::default();
    let mut targets: Vec<Target> = Vec::new();
    for path in cards {
        let target = guard::check(&system, path, request)?;
        if targets.iter().any(|other| other.canonical == target.canonical) {
            return Err(Failure::new(
                Exit::Usage,
                format!("card `{}` is given twice", path.display()),
            ));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn describe(head: &Head, rest: &Rest, survey: &Survey) -> String {
    let size = rest.size_bytes().map(|bytes| format!(", {}", ByteSize(bytes).short()));
    format!(
        "{}{}; boot partition {} `{}`, {}, {} free",
        survey.os.family.name(),
        size.unwrap_or_default(),
        survey.fat,
        survey.label,
        ByteSize(head.boot_partition().size_bytes).short(),
        ByteSize(survey.free_bytes).short(),
    )
}

fn confirm(args: &Args, console: &Console, targets: &[Target]) -> Result<(), Failure> {
    // A new file destroys nothing.
    if args.yes || targets.iter().all(|target| target.kind == guard::Kind::NewFile) {
        return Ok(());
    }
    let list: Vec<String> =
        targets.iter().map(|target| format!("  {}", target.describe())).collect();
    let list = list.join("\n");
    if !console.can_ask() {
        return Err(Failure::new(
            Exit::Refused,
            format!("not confirmed: this would overwrite\n{list}"),
        )
        .help("add `--yes` where nobody can answer"));
    }
    let answer = console.ask(&format!("Everything on it will be lost:\n{list}\nWrite?"));
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(Exit::Refused, "not confirmed, nothing was written")),
        Err(error) => Err(Failure::new(Exit::Failed, format!("reading the answer: {error}"))),
    }
}
