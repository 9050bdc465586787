//! Rung 3: the power of a control plane goes, at the ends of its agent's steps and in the middle of the long ones. It
//! always ends done, with one cluster and one identity. `PIKUBE_POWER_CUTS=all` cuts at the end of every step and at
//! twenty moments (40 minutes); without it a few of each are tried. `PIKUBE_TEST_SEED` repeats the moments.

#[path = "../../imager/tests/support/kubectl.rs"]
mod kubectl;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_agent::plan::steps;
use pikube_config::FirstbootPlan;
use pikube_tests::cluster::{Cluster, Member, Seat};
use pikube_tests::dice::{self, Dice};
use pikube_tests::machine::Ending;
use pikube_tests::node::Order;

/// kubeadm wants 1700 MB for a control plane, and the kernel keeps some for itself.
const MEMORY_MIB: u32 = 1900;
/// A node that takes longer hangs. Generous: other builds may run beside the tests.
const LIMIT: Duration = Duration::from_secs(1500);
/// Between two looks at the console.
const PAUSE: Duration = Duration::from_millis(50);
/// Steps of which every try cuts the end.
const ALWAYS: [&str; 3] = ["packages", "init", "pod-network"];
/// Steps that take long: their middle is where a cut is likely.
const LONG: [&str; 4] = ["packages", "runtime", "images", "init"];
/// Moments in the middle, if not all are wanted.
const FEW: u32 = 3;
const MANY: u32 = 20;
/// The longest of the long steps on a computer without anything else to do, in seconds.
const LONG_S: f64 = 40.0;

#[test]
fn a_control_plane_survives_every_power_cut() -> Result<()> {
    let Some(cluster) = Cluster::new("power-cuts")? else { return Ok(()) };
    let Some(kubectl) = kubectl::kubectl() else { return Ok(()) };
    let all = std::env::var("PIKUBE_POWER_CUTS").is_ok_and(|wanted| wanted == "all");
    let seat = Seat {
        image: "raspios-trixie-amd64",
        role: "master",
        name: "laperouse",
        address: Some("192.168.77.10"),
        memory_mib: MEMORY_MIB,
    };
    let laperouse = cluster.member(&seat, &Order::changes())?;
    let kubeconfig = cluster.kubeconfig()?;
    let seed = dice::seed()?;
    let story = |moment: &str| format!("PIKUBE_TEST_SEED={seed} laperouse, {moment}");

    let mut dice = Dice::new(seed, 1);
    let plan = FirstbootPlan::from_toml(&laperouse.node.card().boot_text("pikube.toml")?)?;
    let titles: Vec<(&str, &str)> = steps(&plan).iter().map(|step| (step.id, step.title)).collect();
    let mut middles = if all { MANY } else { FEW };
    for (index, (id, title)) in titles.iter().enumerate() {
        // What tells that an earlier boot has been through with this step already.
        let later: Vec<String> =
            titles[index + 1..].iter().map(|(_, title)| format!("{title}: ")).collect();
        while middles > 0 && LONG.contains(id) && (all || middles > FEW - 2) {
            let seconds = dice.fraction() * LONG_S;
            let moment = story(&format!("{seconds:.1} s into `{id}`"));
            println!("cut: {moment}");
            let begins = format!("{title}: ");
            cut(&laperouse, &begins, &later, Duration::from_secs_f64(seconds)).context(moment)?;
            middles -= 1;
            if !all || middles % 5 == 0 {
                break;
            }
        }
        if all || ALWAYS.contains(id) {
            let moment = story(&format!("at the end of `{id}`"));
            println!("cut: {moment}");
            let ends = format!("{title}: done in");
            cut(&laperouse, &ends, &later, Duration::ZERO).context(moment)?;
        }
    }

    let power = laperouse.power_on();
    cluster.done(&laperouse, &power, LIMIT).with_context(|| story("after the cuts"))?;
    let login = cluster.login(&laperouse)?;
    // the identity is the card's: the kubeconfig from before any boot gets in
    let output = cluster.kubectl(&kubectl, &kubeconfig, &["get", "--raw", "/version"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", story("kubectl"));
    let journal = login.run("sudo -n cat /var/lib/pikube/journal.jsonl")?;
    let inits = journal.lines().filter(|line| {
        line.contains("\"step\":\"init\"") && line.contains("\"event\":\"applied\"")
    });
    ensure!(inits.count() == 1, "{}: more than one init:\n{journal}", story("the journal"));
    laperouse.keep("journal", &login.run("sudo -n journalctl -u pikube-agent --no-pager")?)?;
    login.output("sudo -n systemctl poweroff")?;
    power.wait_for_power_off(LIMIT)?;
    laperouse.node.card().check_boot()?;
    laperouse.node.card().check_root()
}

/// Boots until the agent says `line`, or something of a `later` step, waits, and cuts the power.
fn cut(member: &Member, line: &str, later: &[String], after: Duration) -> Result<()> {
    loop {
        let mut running = member.boot()?;
        let end = Instant::now() + LIMIT;
        // the operating system's own first boots end in a reboot
        while !running.ends_within(PAUSE)? {
            let console = running.console().text();
            let says = |line: &str| console.contains(line);
            if says(line) || later.iter().any(|line| says(line)) || says("is ready") {
                std::thread::sleep(after);
                running.power_cut();
                return Ok(());
            }
            ensure!(Instant::now() < end, "no {line:?} within {} s", LIMIT.as_secs());
        }
        let ending = running.wait_for_end(LIMIT)?;
        ensure!(ending == Ending::Reboot, "{ending:?} before {line:?}");
    }
}
