//! Handshakes of those who come with an invitation.

use super::*;
use crate::model::Fingerprint;

fn invited(user: &str, token: InviteToken) -> client::Job {
    client::Job::InvitedHello { server: key("server").public().clone(), user: user.parse().unwrap(), token }
}

/// The server is that of `before`.
fn next(first: client::Job, identity: &str, before: &Pair) -> Pair {
    Pair { context: before.context.clone(), ..Pair::new(first, identity) }.run()
}

fn opened(pair: &Pair) -> (&UserName, Fingerprint) {
    let peer = pair.seen.peer.as_ref().unwrap();
    (&peer.user, peer.fingerprint)
}

#[test]
fn who_is_invited_is_registered_with_the_key_that_he_brings() {
    let bob: UserName = "bob".parse().unwrap();
    let pair = Pair::new(invited("bob", token()), "bob").run();
    assert_eq!(opened(&pair), (&bob, key("bob").public().fingerprint()));
    assert!(pair.seen.resumption.is_some());
    // From now on like everybody else, and with his link, also if the first answer was lost.
    for job in [hello("bob"), invited("bob", token()), invited("bob", InviteToken::from_bytes([8; 16]))] {
        assert_eq!(opened(&next(job, "bob", &pair)), (&bob, key("bob").public().fingerprint()));
    }
}

#[test]
fn an_invitation_is_of_no_use_for_a_name_that_is_taken_or_with_another_token() {
    let first = Pair::new(invited("bob", token()), "bob").run();
    for (user, token) in [("alice", token()), ("bob", token()), ("carol", InviteToken::from_bytes([8; 16]))] {
        let pair = next(invited(user, token), "server", &first);
        assert_eq!(pair.seen.server_jobs, ["full"], "{user}");
        assert!(pair.seen.peer.is_none(), "{user}");
        assert_eq!(refused(pair.seen.client_ended), RefusalCode::AuthenticationFailed, "{user}");
    }
}

#[test]
fn who_brings_a_key_that_is_not_his_is_not_let_in() {
    let mut pair = Pair::new(invited("bob", token()), "bob");
    // The hello says that the key is bob's; who goes on has another one.
    let Some(Output::Job(job)) = pair.client.poll() else { panic!("no hello") };
    let answer = job.run(&key("bob"), &mut pair.rng);
    pair.client.handle(Input::Answer(answer), pair.now);
    pair.identity = key("server");
    let pair = pair.run();
    assert_eq!(refused(pair.seen.client_ended), RefusalCode::AuthenticationFailed);
}

#[test]
fn a_hello_tells_the_network_that_somebody_was_invited_and_nothing_else() {
    let sizes: Vec<usize> = [("bob", "bob"), ("a-name-of-32-bytes-so-a-long-one", "alice")]
        .map(|(user, identity)| {
            let mut pair = Pair::new(invited(user, token()), identity);
            let Some(Output::Job(job)) = pair.client.poll() else { panic!("no hello") };
            let Ok(client::Answer::Hello(frame, _)) = job.run(&pair.identity, &mut pair.rng) else {
                panic!("no hello")
            };
            let found = |what: &[u8]| frame.windows(what.len()).any(|window| window == what);
            assert!(!found(user.as_bytes()) && !found(token().expose()));
            frame.len()
        })
        .to_vec();
    assert_eq!(sizes[0], sizes[1]);
}
