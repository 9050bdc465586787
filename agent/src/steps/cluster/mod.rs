//! From a node with kubeadm to a node of its cluster: images, `kubeadm init` or `join`, pod network, readiness.

pub mod address;
pub mod board;
pub mod certificates;
mod crictl;
pub mod endpoint;
pub mod images;
pub mod init;
pub mod join;
pub mod kubeconfig;
mod kubectl;
mod leftovers;
mod member;
pub mod pod_network;
mod probe;
pub mod ready;
mod reason;
pub mod virtual_ip;
mod words;

pub use kubeconfig::take_back as take_back_kubeconfig;
pub use leftovers::{forget_endpoint, undo};

#[cfg(test)]
mod tests;
