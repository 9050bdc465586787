//! Mirror and proxy: set, changed, taken away.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::Node;
use crate::plan::Facts;

const LIST: &str = "/etc/apt/sources.list";
const ORIGINAL: &str = "/etc/apt/sources.list.pikube.orig";
const ARCHIVE: &str = "deb http://a.example.org/debian trixie main\n\
    deb http://s.example.org/debian-security trixie-security main\n";

fn context(system: &str) -> Context {
    let plan =
        format!("schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n[system]\n{system}");
    Context::new(FirstbootPlan::from_toml(&plan).unwrap(), None, Facts::default())
}

fn mirror(url: &str) -> Context {
    context(&format!("apt_mirror = \"{url}\"\n"))
}

fn node() -> Node {
    let node = Node::bare();
    node.put(LIST, ARCHIVE);
    node
}

fn make(context: &Context, node: &Node) {
    assert!(matches!(check(context, node), Ok(Check::Needed(_))));
    apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied);
}

#[test]
fn a_mirror_comes_changes_and_goes() {
    let node = node();
    let with = |url: &str| ARCHIVE.replace("http://a.example.org/debian", url);
    for url in
        ["http://m.example.org/one", "https://m.example.org/two/", "http://m.example.org/one"]
    {
        make(&mirror(url), &node);
        assert_eq!(node.get(LIST), with(url));
        assert_eq!(node.get(ORIGINAL), ARCHIVE, "kept once");
    }
    // The release that a person has moved on to since then stays.
    node.put(LIST, node.get(LIST).replace("trixie", "forky"));
    make(&context(""), &node);
    assert_eq!(node.get(LIST), ARCHIVE.replace("trixie", "forky"));
}

#[test]
fn without_a_mirror_nothing_is_touched() {
    let node = node();
    assert_eq!(check(&context(""), &node).unwrap(), Check::Satisfied);
    apply(&context(""), &node).unwrap();
    assert!(!node.exists(ORIGINAL).unwrap() && node.get(LIST) == ARCHIVE);
}

#[test]
fn a_system_whose_archive_is_not_found_is_told() {
    let node = node();
    node.put(LIST, "deb https://d.example.org/linux/debian trixie stable\n");
    let context = mirror("http://m.example.org/debian");
    assert!(matches!(check(&context, &node), Ok(Check::Needed(_))));
    let Err(Stop::Person { what, help }) = apply(&context, &node) else { panic!() };
    assert!(what.contains(LIST) && help.contains("system.apt_mirror"), "{what}");
}

#[test]
fn a_proxy_comes_and_goes() {
    let node = node();
    make(&context("apt_proxy = \"http://192.168.1.2:3142\"\n"), &node);
    assert_eq!(
        node.get("/etc/apt/apt.conf.d/90-pikube-proxy"),
        "Acquire::http::Proxy \"http://192.168.1.2:3142\";\n\
         Acquire::https::Proxy \"http://192.168.1.2:3142\";\n"
    );
    make(&context(""), &node);
    assert!(!node.exists("/etc/apt/apt.conf.d/90-pikube-proxy").unwrap());
}

#[test]
fn cloud_init_keeps_its_hands_off_the_mirror() {
    let text = |context: &Context| context.file(crate::render::CLOUD).unwrap().text().to_owned();
    assert!(
        text(&mirror("http://m.example.org/x")).contains("\napt_preserve_sources_list: true\n")
    );
    assert!(!text(&context("")).contains("apt_preserve"));
}
