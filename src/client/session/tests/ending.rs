//! How a session ends, and what does not end it.

use rand::CryptoRng;

use super::*;
use crate::crypto::kem::CIPHERTEXT_BYTES;
use crate::crypto::rsa::PublicKey;
use crate::crypto::rsa::{Label, OperationError};
use crate::crypto::secret::Secret;
use crate::proto::handshake::wire::{Refusal, RefusalCode, ServerHello};

fn leave(patience: u64) -> Command {
    Command::Leave { patience: Duration::from_secs(patience) }
}

fn outcome(world: &World) -> Option<&Outcome> {
    world.over.as_ref().map(|(outcome, _)| outcome)
}

#[test]
fn leaving_says_goodbye() {
    let mut world = World::in_lobby(0);
    world.command(leave(0));
    assert_eq!(world.over, Some((Outcome::Left, 0)));
    assert_eq!(world.closed_by_session.unwrap().code, CloseCode::Bye);
    assert_eq!(world.session.poll_timeout(), None);
}

#[test]
fn leaving_with_patience_waits_for_the_backlog_the_acknowledgements_and_the_answers() {
    let mut world = World::with(settings());
    world.command(Command::Post { room: lobby(), body: text("x"), urgent: false });
    world.command(Command::Ask(Ask::People { room: lobby() }));
    world.command(leave(1000));
    world.let_in(0);
    assert_eq!(world.over, None);
    let requests = std::mem::take(&mut world.requests);
    assert_eq!(requests.len(), 2);
    world.accept(requests[0].0, 1);
    assert_eq!(world.over, None);
    world.refuse(requests[1].0, ErrorCode::Forbidden, None);
    assert_eq!(world.over, Some((Outcome::Left, 0)));
}

#[test]
fn patience_ends_and_the_rest_is_named_and_counted() {
    let mut world = World::in_lobby(0);
    world.say("x");
    world.command(leave(2));
    world.pass(Duration::from_millis(1999));
    assert_eq!(world.over, None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.over, Some((Outcome::Left, 1)));
    assert!(matches!(world.events.last(), Some(Event::Undelivered { body, .. }) if *body == text("x")));
    // Also without a connection, and without a peer that hangs up.
    let mut world = World::with(settings());
    world.listening = false;
    world.command(leave(0));
    assert_eq!(world.over, Some((Outcome::Left, 0)));
}

#[test]
fn keys_that_are_wrong_end_it() {
    let mut world = World::with(settings());
    world.context.directory = Arc::new(Registered(None));
    world.run();
    assert_eq!(outcome(&world), Some(&Outcome::AuthenticationFailed { invited: false }));

    let mut world = World::with(Settings { server: test_keys::bob().public().clone(), ..settings() });
    world.run();
    assert_eq!(outcome(&world), Some(&Outcome::ServerKeyChanged));
}

/// The key of alice, with an agent that has ended.
struct Gone;

impl OwnKey for Gone {
    fn public(&self) -> &PublicKey {
        test_keys::alice().public()
    }

    fn decrypt(&self, _: Label, _: &[u8], _: &mut dyn CryptoRng) -> Result<Secret, OperationError> {
        Err(OperationError::OutOfReach)
    }

    fn sign(&self, _: &[u8], _: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError> {
        Err(OperationError::OutOfReach)
    }
}

#[test]
fn an_own_key_that_is_out_of_reach_ends_it_as_soon_as_it_is_needed() {
    let mut world = World::with(settings());
    world.key = &Gone;
    world.run();
    assert_eq!(outcome(&world), Some(&Outcome::KeyOutOfReach));
    // A connection that is there needs it no more, and neither does one that is resumed: a decision over a private room does.
    let mut world = World::in_lobby(0);
    world.key = &Gone;
    world.say("x");
    assert_eq!(outcome(&world), None);
    world.command(Command::Ask(Ask::Create { room: "#ops".parse().unwrap(), private: true }));
    assert_eq!(world.over, Some((Outcome::KeyOutOfReach, 1)));
    assert!(matches!(world.events.last(), Some(Event::Undelivered { body, .. }) if *body == text("x")));
}

#[test]
fn a_server_without_the_private_key_ends_it() {
    let mut world = World::with(settings());
    // It says it has the key, and answers with anything.
    while let Some(output) = world.session.poll() {
        match output {
            Output::Connect(attempt) => world.handle(Input::Network(attempt, Network::Connected)),
            Output::Job(attempt, job) => {
                let answer = job.run(test_keys::alice(), &mut world.rng);
                world.handle(Input::Network(attempt, Network::Answer(answer)));
            }
            Output::Transmit(_) => {
                let mut hello = ServerHello::head(&[7; CIPHERTEXT_BYTES], 530);
                hello.extend_from_slice(&[7; 530]);
                world.handle(Input::Network(Attempt(1), Network::Received(&mut hello)));
            }
            Output::Over { outcome, .. } => world.over = Some((outcome, 0)),
            Output::Disconnect | Output::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(outcome(&world), Some(&Outcome::NotTheServer));
}

#[test]
fn a_server_of_another_version_ends_it_and_says_which_it_speaks() {
    let mut world = World::with(settings());
    world.listening = false;
    assert!(matches!(world.session.poll(), Some(Output::Connect(_))));
    world.handle(Input::Network(Attempt(1), Network::Connected));
    let refusal = Refusal { min_version: 2, max_version: 3, ..Refusal::new(RefusalCode::UnsupportedVersion) };
    world.handle(Input::Network(Attempt(1), Network::Received(&mut refusal.frame())));
    world.run();
    assert_eq!(outcome(&world), Some(&Outcome::Version { min: 2, max: 3 }));
}

#[test]
fn closes_end_it_or_lead_to_a_new_connection() {
    for code in [CloseCode::KeyRemoved, CloseCode::Kicked, CloseCode::Other(99)] {
        let mut world = World::in_lobby(0);
        world.say("x");
        world.close(code);
        assert!(matches!(&world.over, Some((Outcome::PutOut(reason), 1)) if reason.code == code), "{code:?}");
    }
    for code in [CloseCode::Bye, CloseCode::Shutdown, CloseCode::TooSlow, CloseCode::IdleTimeout] {
        let mut world = World::in_lobby(0);
        world.close(code);
        assert!(matches!(world.events.last(), Some(Event::Offline { failures: 0, .. })), "{code:?}");
        world.come_back();
        assert_eq!(world.over, None);
    }
}

#[test]
fn where_nobody_watches_a_breach_of_the_protocol_ends_it() {
    let mut world = World::with(Settings { give_up: Some(Duration::from_secs(20)), ..settings() });
    world.run();
    world.close(CloseCode::ProtocolError);
    assert!(matches!(outcome(&world), Some(Outcome::PutOut(_))));
}

#[test]
fn whoever_ends_the_server_has_ended_too() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(shutdown()));
    let (id, _) = world.request();
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.close(CloseCode::Shutdown);
    assert_eq!(outcome(&world), Some(&Outcome::ServerEnded));
}

#[test]
fn a_refused_ticket_leads_to_a_full_handshake_at_once() {
    let mut world = World::in_lobby(0);
    world.context.tickets = Arc::new(TicketKeys::generate(Timestamp(0), &mut StdRng::seed_from_u64(99)));
    world.events.clear();
    world.come_back();
    assert_eq!(world.resumed, [false, true, false]);
    let offline = world.events.iter().filter(|event| matches!(event, Event::Offline { .. })).count();
    assert_eq!(offline, 1);
}

/// A session that an earlier one has left its ticket, and what it left.
fn after_another(change: impl FnOnce(&mut World)) -> World {
    let mut earlier = World::in_lobby(0);
    earlier.command(leave(0));
    let ticket = earlier.kept.take().unwrap();
    let mut world = World::with(settings());
    change(&mut world);
    world.handle(Input::Ticket(ticket));
    world.run();
    world
}

#[test]
fn an_earlier_sessions_ticket_is_used_once_and_another_one_left() {
    let mut world = after_another(|_| ());
    assert_eq!(world.resumed, [true]);
    let request = world.request();
    assert!(matches!(request.1, Request::Join(_)), "it was let in: {request:?}");
    world.tell(&[joined(request.0, 0)]);
    world.command(leave(0));
    assert_eq!(world.over, Some((Outcome::Left, 0)));
    assert!(world.kept.is_some());

    // It was shown, and answered by nothing: no other session may show it.
    let mut world = after_another(|world| world.welcoming = false);
    assert_eq!(world.resumed, [true]);
    world.command(leave(0));
    assert!(world.over.is_some() && world.kept.is_none());

    // There was nobody to show it to.
    let mut world = after_another(|world| world.listening = false);
    world.command(leave(0));
    assert!(world.resumed.is_empty() && world.kept.is_some());
}

#[test]
fn a_ticket_of_an_earlier_session_changes_nothing_of_what_ends_this_one() {
    // The server has another key since, and all the rest of what it had.
    let other = Arc::new(PrivateKey::from_pem(&test_keys::bob().to_pem().unwrap(), None).unwrap());
    let world = after_another(|world| world.context.key = other);
    assert_eq!(world.resumed, [true, false]);
    assert_eq!(outcome(&world), Some(&Outcome::ServerKeyChanged));

    let world = after_another(|world| world.context.directory = Arc::new(Registered(None)));
    assert_eq!(world.resumed, [true, false]);
    assert_eq!(outcome(&world), Some(&Outcome::AuthenticationFailed { invited: false }));
}

#[test]
fn an_old_ticket_is_not_presented() {
    let mut world = World::in_lobby(0);
    world.listening = false;
    world.cut();
    world.pass(Duration::from_secs(3600));
    world.listening = true;
    world.come_back();
    assert_eq!(world.resumed, [false, false]);

    let world = after_another(|world| {
        let (now, rng) = (world.now, StdRng::seed_from_u64(7));
        world.session = Session::new(settings(), rng, now, Timestamp(3_600_000));
    });
    assert_eq!(world.resumed, [false]);
}

#[test]
fn a_server_that_is_not_there_is_tried_again_and_given_up_in_time() {
    let mut world = World::with(Settings { give_up: Some(Duration::from_secs(20)), ..settings() });
    world.listening = false;
    world.run();
    world.pass(Duration::from_millis(19_999));
    assert_eq!(world.over, None);
    let tries: Vec<u32> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Offline { failures, .. } => Some(*failures),
            _ => None,
        })
        .collect();
    assert!(tries.len() >= 4 && tries.is_sorted(), "{tries:?}");
    world.pass(Duration::from_millis(1));
    assert_eq!(outcome(&world), Some(&Outcome::GaveUp { reason: "connection refused".to_owned() }));

    let mut world = World::with(settings());
    world.listening = false;
    world.run();
    world.pass(Duration::from_secs(100_000));
    assert_eq!(world.over, None);
    world.listening = true;
    world.come_back();
}

#[test]
fn a_server_that_answers_nothing_any_more_is_given_up_too() {
    let mut world = World::with(Settings { give_up: Some(Duration::from_secs(20)), ..settings() });
    world.run();
    world.let_in(0);
    world.say("x");
    world.pass(Duration::from_millis(19_999));
    assert_eq!(world.over, None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.over, Some((Outcome::GaveUp { reason: "the server does not answer".to_owned() }, 1)));
}

#[test]
fn a_refusal_in_the_clear_keeps_nobody_away_for_long() {
    let mut world = World::in_lobby(0);
    let refusal = Refusal { code: RefusalCode::Busy, retry_after_s: u16::MAX, min_version: 1, max_version: 1 };
    world.session.refused(refusal, world.now);
    assert!(world.session.poll_timeout().unwrap() <= world.now + Duration::from_secs(60));
}

#[test]
fn a_silent_server_is_noticed_at_every_stage() {
    // It never takes the connection, never answers the hello, never welcomes.
    let mut world = World::with(settings());
    assert!(matches!(world.session.poll(), Some(Output::Connect(_))));
    world.now += Duration::from_secs(20);
    world.handle(Input::Tick);
    assert!(matches!(world.session.poll(), Some(Output::Disconnect)));
    assert!(matches!(world.session.poll(), Some(Output::Event(Event::Offline { .. }))));

    let mut world = World::with(settings());
    assert!(matches!(world.session.poll(), Some(Output::Connect(_))));
    world.handle(Input::Network(Attempt(1), Network::Connected));
    while world.session.poll().is_some() {}
    world.now += Duration::from_secs(20);
    world.handle(Input::Tick);
    assert!(matches!(world.session.poll(), Some(Output::Disconnect)));

    // It falls silent: the session notices within 60 seconds.
    let mut world = World::in_lobby(0);
    world.link = None;
    world.listening = false;
    world.pass(Duration::from_secs(60));
    assert!(world.events.iter().any(|event| matches!(event, Event::Offline { .. })));
}

#[test]
fn what_comes_for_an_earlier_connection_is_ignored() {
    let mut world = World::in_lobby(0);
    let old = world.attempt;
    world.come_back();
    world.events.clear();
    for what in [Network::Eof, Network::Connected, Network::Received(&mut [1; 9]), Network::Failed(String::new())] {
        world.handle(Input::Network(old, what));
        world.run();
    }
    assert!(world.link.is_some() && world.events.is_empty());
}

#[test]
fn any_bytes_at_any_time_do_no_more_than_break_the_connection() {
    use rand::Rng as _;
    let mut rng = StdRng::seed_from_u64(5);
    for round in 0..200 {
        let mut world = World::with(settings());
        if round % 2 == 0 {
            world.run();
        } else {
            while let Some(output) = world.session.poll() {
                if let Output::Connect(attempt) = output {
                    world.attempt = attempt;
                    world.handle(Input::Network(attempt, Network::Connected));
                }
            }
        }
        let mut bytes = vec![0; 600];
        rng.fill_bytes(&mut bytes);
        // Headers that can be.
        bytes[0] = [2, 5, 6, 16, 17, 18, 19][round % 7];
        bytes[1] = 0;
        bytes[2] = u8::try_from(round % 3).unwrap();
        world.handle(Input::Network(world.attempt, Network::Received(&mut bytes)));
        while world.session.poll().is_some() {}
    }
}
