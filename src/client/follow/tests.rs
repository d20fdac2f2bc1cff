use super::*;
use crate::client::session::Seal;
use crate::model::MessageId;
use crate::proto::message::{Body, RoomInfo, Stored, Welcome};

fn online(incarnation: u64) -> Event {
    Event::Online(Welcome {
        server: String::new(),
        user: "alice".parse().unwrap(),
        admin: false,
        incarnation: Incarnation(incarnation),
        time: Timestamp(0),
        message_bytes: 8192,
        history_limit: 3,
        rooms: Vec::new(),
        waiting: Vec::new(),
    })
}

fn said(seq: u64) -> Said {
    let message = Stored {
        room: RoomName::lobby(),
        seq: Seq(seq),
        time: Timestamp(seq * 10),
        sender: "bob".parse().unwrap(),
        message: MessageId([u8::try_from(seq).unwrap(); 16]),
        body: Some(Body::Text { text: "x".to_owned() }),
    };
    Said { message, seal: Seal::Open }
}

fn message(seq: u64, arrival: Arrival) -> Event {
    let Said { message, seal } = said(seq);
    Event::Message { message, arrival, own: false, seal }
}

fn entered(visit: Visit, last: u64) -> Event {
    Event::Entered { info: RoomInfo { last: Seq(last), ..RoomInfo::new(RoomName::lobby()) }, visit }
}

fn history(seqs: std::ops::RangeInclusive<u64>, until: Until, limit: Option<u32>) -> Event {
    let more = *seqs.start() > 1;
    let answer = Answer::History { messages: seqs.map(said).collect(), more };
    Event::Answered { ask: Ask::History { room: RoomName::lobby(), until, limit }, answer: Ok(answer) }
}

fn handed(steps: Vec<Step>) -> Vec<u64> {
    let seq = |step| match step {
        Step::Hand(said) => said.message.seq.0,
        step => panic!("{step:?}"),
    };
    steps.into_iter().map(seq).collect()
}

fn asks(steps: &[Step]) -> (Until, Option<u32>) {
    match steps {
        [Step::Ask(Ask::History { until, limit, .. })] => (*until, *limit),
        steps => panic!("{steps:?}"),
    }
}

#[test]
fn in_a_room_that_is_known_what_was_missed_is_handed_out_and_the_backlog_is_not() {
    let place = Position { incarnation: Incarnation(1), seq: Seq(4) };
    let mut follower = Follower::new(&BTreeMap::from([(RoomName::lobby(), place)]), Start::Now);
    assert_eq!(follower.event(online(2)), []);
    assert_eq!(follower.event(message(4, Arrival::Backlog)), []);
    assert_eq!(handed(follower.event(message(5, Arrival::Missed))), [5]);
    assert_eq!(follower.event(entered(Visit::Return, 5)), []);
    assert_eq!(handed(follower.event(message(6, Arrival::Live))), [6]);
    assert_eq!(follower.position(Seq(6)), Some(Position { incarnation: Incarnation(2), seq: Seq(6) }));
    // After a broken connection.
    assert_eq!(handed(follower.event(message(7, Arrival::Missed))), [7]);
    assert_eq!(follower.event(entered(Visit::Again, 7)), []);
}

#[test]
fn whoever_begins_now_gets_nothing_of_what_was_said_before() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Now);
    follower.event(online(1));
    assert_eq!(follower.event(message(4, Arrival::Backlog)), []);
    assert_eq!(follower.event(message(5, Arrival::Missed)), []);
    let place = Position { incarnation: Incarnation(1), seq: Seq(5) };
    assert_eq!(follower.event(entered(Visit::First, 5)), [Step::Begin(RoomName::lobby(), place)]);
    assert_eq!(handed(follower.event(message(6, Arrival::Live))), [6]);
}

#[test]
fn the_last_ones_are_asked_for_page_by_page_and_what_is_said_meanwhile_comes_behind_them() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Last(5));
    follower.event(online(1));
    assert_eq!(asks(&follower.event(entered(Visit::First, 9))), (Until::Latest, Some(5)));
    assert_eq!(follower.event(message(10, Arrival::Live)), []);
    // The page has that one, too.
    let steps = follower.event(history(8..=10, Until::Latest, Some(5)));
    assert_eq!(asks(&steps), (Until::Before(Seq(8)), Some(2)));
    assert_eq!(follower.event(message(11, Arrival::Live)), []);
    let steps = follower.event(history(6..=7, Until::Before(Seq(8)), Some(2)));
    assert_eq!(handed(steps), [6, 7, 8, 9, 10, 11]);
    assert_eq!(handed(follower.event(message(12, Arrival::Live))), [12]);
}

#[test]
fn what_was_said_since_a_time_is_handed_out_and_no_more_is_asked_for_than_that_takes() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(55)));
    follower.event(online(1));
    assert_eq!(asks(&follower.event(entered(Visit::First, 9))), (Until::Latest, None));
    let steps = follower.event(history(7..=9, Until::Latest, None));
    assert_eq!(asks(&steps), (Until::Before(Seq(7)), None));
    assert_eq!(handed(follower.event(history(4..=6, Until::Before(Seq(7)), None))), [6, 7, 8, 9]);
    // All there is may be less.
    let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(0)));
    follower.event(online(1));
    follower.event(entered(Visit::First, 2));
    assert_eq!(handed(follower.event(history(1..=2, Until::Latest, None))), [1, 2]);
}

#[test]
fn what_the_server_has_lost_takes_the_place_back() {
    let place = Position { incarnation: Incarnation(1), seq: Seq(4) };
    let mut follower = Follower::new(&BTreeMap::from([(RoomName::lobby(), place)]), Start::Now);
    follower.event(online(2));
    let lost = || Event::Withdrawn { room: RoomName::lobby(), after: Seq(3), messages: Vec::new() };
    let back = Position { incarnation: Incarnation(2), seq: Seq(3) };
    assert_eq!(follower.event(lost()), [Step::Withdraw(RoomName::lobby(), back), Step::Tell(lost())]);
}
