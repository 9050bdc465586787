//! Real nodes: a card is written by `piflash`, booted as a machine of its own from its own two partitions, cut off
//! from its power at will, and asked from inside and from outside what it has become.
//!
//! * [`card`]: what is on a card, read without mounting anything
//! * [`machine`]: computers to put the card into: User Mode Linux and QEMU
//! * [`probe`]: the questions that a running node answers about itself
//! * [`node`]: the whole story of one card: write, first boot, further boots
//! * [`switch`]: a virtual network for several nodes, with a DHCP and DNS server
//! * [`internet`]: what nodes install, in place of the internet
//! * [`cluster`]: several nodes of one inventory
//! * [`web`]: a web server on the laptop of a switch, with faults on demand
//! * [`time_server`]: its clock, for the nodes
//! * [`ssh`]: logging in to a node from the laptop of a switch
//! * [`site`]: switch, machine, workshop and person together, for tests of nodes on a network
//! * [`kubernetes`]: the programs of a real Kubernetes, built from their Go modules
//! * [`control_plane`]: a real control plane of processes on this computer, from a card's own identity
//! * [`images`]: the images that `images/build.sh` made
//! * [`dice`]: chance that can be repeated
//! * [`needs`]: what a test needs and this computer may not have

pub mod card;
pub mod cluster;
pub mod control_plane;
pub mod dice;
pub mod images;
pub mod internet;
pub mod kubernetes;
pub mod machine;
pub mod needs;
pub mod node;
pub mod probe;
pub mod site;
pub mod ssh;
pub mod switch;
pub mod time_server;
pub mod web;
