//! Rooms, roles and sealed conversations, under one seed: clients' sessions and the server's hub over their real links, with
//! the real store; and a server that keeps its promises, or one that breaks every promise that it can ([`liar`]).
//!
//! Here order is everything and time is little: what is on its way arrives in any order that the connections allow, clients
//! and the server are killed and come back. What goes wrong on the way, on the disk and with the clock is the affair of
//! [`simulation`](crate::simulation), which knows one room.
//!
//! `RSACHAT_SIM_SEED=n cargo test --test it town -- --nocapture` runs one seed and prints what happens; `RSACHAT_SIM_SEEDS=n`
//! runs a thirtieth of that many, and 30 at least.
//!
//! What is checked, with any server ([`truth`]):
//!
//! - What is shown as said under seal was said by that user, in that room, in these words; once, and in the order in which
//!   that client said it. What is shown in a direct room, or in a private one that the client has met, was sealed.
//! - A sender key goes to the keys of those whom the room's owner has let in, and of the two of a direct room, and to no
//!   other; one with which somebody speaks after he knows that somebody was put out, not to that one.
//! - A client that is started anew goes on in each room where it was read, or says what it leaves out.
//! - Nothing goes unsealed to a direct room, or to a private one that the client has met.
//!
//! And with one that keeps its promises:
//!
//! - Only a room's owner decides over it, and admins where it is not private. What is said in a private room goes to no
//!   session of somebody who was not let in, or was put out.
//! - In the end everybody is back and waits for nothing; in each room that he is in, each sees all that was said and is for
//!   him, can read it, and is told of the rest that he can't.

mod client;
mod liar;
mod server;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Seen, Town};

const SEED: &str = "RSACHAT_SIM_SEED";
const SEEDS: &str = "RSACHAT_SIM_SEEDS";
const DEFAULT_SEEDS: u64 = 30;
/// How much of the story of a failed seed is told.
const LINES: usize = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn run(lies: bool) {
    if let Some(seed) = number(SEED) {
        let mut story = Vec::new();
        let seen = catch_unwind(AssertUnwindSafe(|| Town::run(seed, lies, &mut story)));
        for line in &story {
            println!("{line}");
        }
        println!("{:?}", seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        return;
    }
    let mut all = Seen::default();
    for seed in 0..(number(SEEDS).unwrap_or_default() / 30).max(DEFAULT_SEEDS) {
        let mut story = Vec::new();
        match catch_unwind(AssertUnwindSafe(|| Town::run(seed, lies, &mut story))) {
            Ok(seen) => all.add(&seen),
            Err(panic) => {
                for line in story.iter().skip(story.len().saturating_sub(LINES)) {
                    println!("{line}");
                }
                println!("replay: {SEED}={seed} cargo test --test it town -- --nocapture");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{all:?}");
    all.check(lies);
}

#[test]
fn a_server_keeps_its_promises() {
    run(false);
}

#[test]
fn a_server_that_lies_is_found_out_or_does_no_harm() {
    run(true);
}
