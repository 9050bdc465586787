//! `pikube-agent`, the Pi side: plan → steps → journal → report.
