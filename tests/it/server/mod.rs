//! The real server, as a process, under everything that may happen to it.

mod crash;
mod hostile;
mod invites;
mod limits;
mod logs;
mod machine;
mod message_log;
mod registration;
mod rooms;
mod shutdown;
