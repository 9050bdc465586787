//! The login user, whole, half made, and already there.

use pikube_config::{FirstbootPlan, Secrets};

use super::*;
use crate::host::Access;
use crate::host::scripted::{HASH, Node, PLAN, SECRETS};
use crate::plan::Facts;

const SUDOERS: &str = "/etc/sudoers.d/010_pikube-captain";

fn context(secrets: Option<&str>, settled: bool) -> Context {
    let facts = Facts { user_settled: settled, ..Facts::default() };
    let secrets = secrets.map(|text| Secrets::from_toml(text).unwrap());
    Context::new(FirstbootPlan::from_toml(PLAN).unwrap(), secrets, facts)
}

fn make(node: &Node, context: &Context) {
    apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied);
}

#[test]
fn a_user_with_a_password_is_asked_for_it_by_sudo() {
    let node = Node::pi();
    make(&node, &context(Some(SECRETS), false));
    assert!(node.get("/etc/shadow").contains(HASH));
    assert!(!node.exists(SUDOERS).unwrap());
    assert!(node.get("/etc/group").contains("sudo:x:27:pi,captain\n"));
    assert_eq!(node.get("/home/captain/.config/x"), "y\n");
    let own = |mode| Some(Access { mode, owner: (1001, 1001) });
    assert_eq!(node.access("/home/captain/.ssh"), own(0o700));
    assert_eq!(node.access("/home/captain/.ssh/authorized_keys"), own(0o600));
    assert!(!node.log.borrow().join("\n").contains("$6$"), "no hash among the arguments");
}

#[test]
fn a_user_without_a_password_has_keys_and_sudo() {
    let node = Node::pi();
    make(&node, &context(None, false));
    assert!(node.get("/etc/shadow").contains("captain:*:"));
    assert_eq!(node.get(SUDOERS), "captain ALL=(ALL) NOPASSWD: ALL\n");
    assert_eq!(node.access(SUDOERS), Some(Access::root(0o440)));
    // A password that comes later takes it away.
    make(&node, &context(Some(SECRETS), false));
    assert!(!node.exists(SUDOERS).unwrap());
}

#[test]
fn scrubbed_secrets_do_not_lock_the_user_out() {
    let node = Node::pi();
    make(&node, &context(Some(SECRETS), false));
    assert_eq!(check(&context(None, true), &node).unwrap(), Check::Satisfied);
    make(&node, &context(None, true));
    assert!(node.get("/etc/shadow").contains(HASH));
}

#[test]
fn the_known_password_of_an_old_image_is_taken_away() {
    let node = Node::pi();
    node.put("/etc/passwd", "captain:x:1000:1000::/home/captain:/bin/bash\n");
    node.put("/etc/shadow", "captain:$5$raspberry:1::::::\n");
    let context = context(None, false);
    let Check::Needed(why) = check(&context, &node).unwrap() else { panic!() };
    assert!(why.contains("password field that the plan does not give") && !why.contains("$5$"));
    make(&node, &context);
    assert!(node.get("/etc/shadow").contains("captain:*:"));
}

#[test]
fn keys_of_others_stay() {
    let node = Node::pi();
    node.put("/home/captain/.ssh/authorized_keys", "ssh-rsa AAAA other");
    make(&node, &context(None, false));
    let keys = node.get("/home/captain/.ssh/authorized_keys");
    assert!(keys.starts_with("ssh-rsa AAAA other\nssh-ed25519 ") && keys.lines().count() == 2);
}

#[test]
fn raspberry_pi_os_finishes_its_own_user_first() {
    let node = Node::pi();
    let facts = Facts { boot: Some("/boot/firmware".to_owned()), ..Facts::default() };
    let context = Context::new(FirstbootPlan::from_toml(PLAN).unwrap(), None, facts);
    assert!(!is_being_configured(&context, &node).unwrap());
    node.fail("systemctl is-active userconfig", 3, "", 1);
    assert!(!is_being_configured(&context, &node).unwrap());
}

#[test]
fn a_taken_lock_is_waited_for() {
    let node = Node::pi();
    node.fail("useradd", 1, "useradd: cannot lock /etc/passwd; try again later.", 1);
    let Err(Stop::Again(what)) = apply(&context(None, false), &node) else { panic!() };
    assert!(what.contains("cannot lock"), "{what}");
    make(&node, &context(None, false));
}

#[test]
fn password_fields() {
    for (field, usable) in
        [("$6$x", true), ("", true), ("!", false), ("!$6$x", false), ("*", false), ("x", false)]
    {
        assert_eq!(accounts::is_usable(field), usable, "{field}");
    }
}

#[test]
fn an_account_of_the_system_is_left_alone() {
    for (passwd, group, why) in [
        ("captain:x:5:60:games:/usr/games:/usr/sbin/nologin\n", "", "number 5"),
        ("captain:x:0:0::/home/captain:/bin/bash\n", "", "number 0"),
        ("captain:x:65534:65534::/home/captain:/bin/sh\n", "", "number 65534"),
        ("captain:x:1001:1001::/:/bin/bash\n", "", "is `/`, outside `/home`"),
        ("captain:x:1001:1001::/home:/bin/bash\n", "", "is `/home`, outside"),
        ("captain:x:1001:1001::/home/:/bin/bash\n", "", "is `/home/`, outside"),
        ("captain:x:1001:1001::/home/../etc:/bin/bash\n", "", "outside `/home`"),
        ("captain:x:1001:1001::/homework:/bin/bash\n", "", "outside `/home`"),
        ("", "captain:x:44:\n", "is a group of the system, number 44"),
    ] {
        let node = Node::pi();
        node.put("/etc/passwd", format!("{}{passwd}", node.get("/etc/passwd")));
        node.put("/etc/group", format!("{}{group}", node.get("/etc/group")));
        let before = node.lasting();
        let context = context(Some(SECRETS), false);
        for stop in [check(&context, &node).map(|_| ()), apply(&context, &node).map(|_| ())] {
            let Err(Stop::Person { what, help }) = stop else { panic!("{passwd}{group}") };
            assert!(what.contains("`captain`") && what.contains(why), "{what}");
            assert!(help.contains("piflash configure --user"), "{help}");
        }
        assert_eq!(node.lasting(), before, "{passwd}{group}");
    }
    let node = Node::pi();
    node.put("/etc/passwd", "captain:x:1000:1000::/home/crew/captain/:/bin/bash\n");
    node.put("/etc/shadow", "captain:*:1::::::\n");
    assert_eq!(accounts::refusal(&node, "captain").unwrap(), None);
}
