use super::*;
use crate::client::session::{Arrival, Visit};
use crate::model::MessageId;
use crate::proto::message::{Body, ErrorCode, RoomInfo, Stored, Welcome};

const LIMIT: u32 = 3;

fn online(incarnation: u64, time: u64) -> Event {
    Event::Online(Welcome {
        server: String::new(),
        user: "alice".parse().unwrap(),
        admin: false,
        incarnation: Incarnation(incarnation),
        time: Timestamp(time),
        message_bytes: 8192,
        history_limit: LIMIT,
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

/// A server that has these messages of the lobby: what is handed out, what is told, and how often it was asked, until the
/// follower asks no more.
struct Server {
    has: std::ops::RangeInclusive<u64>,
    /// It gives no more at once, however many it is asked for: they are long.
    most: usize,
    asked: usize,
    handed: Vec<u64>,
    gone: u64,
    begun: Option<u64>,
}

impl Server {
    fn new(has: std::ops::RangeInclusive<u64>) -> Self {
        Self { has, most: usize::MAX, asked: 0, handed: Vec::new(), gone: 0, begun: None }
    }

    fn serve(&mut self, follower: &mut Follower, event: Event) {
        let mut steps: VecDeque<Step> = follower.event(event).into();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Hand(said, position) => {
                    assert_eq!(said.message.seq, position.seq);
                    self.handed.push(position.seq.0);
                }
                Step::Ask(ask) => {
                    self.asked += 1;
                    let Ask::History { until: Until::Before(before), limit: Some(limit), .. } = ask else {
                        panic!("{ask:?}")
                    };
                    let qualify: Vec<u64> = self.has.clone().filter(|seq| *seq < before.0).collect();
                    let first = qualify.len().saturating_sub((limit.min(LIMIT) as usize).min(self.most));
                    let messages = qualify[first..].iter().map(|seq| said(*seq)).collect();
                    let answer = Ok(Answer::History { messages, more: first > 0 });
                    steps.extend(follower.event(Event::Answered { ask, answer }));
                }
                Step::Tell(Event::Missed { gone, .. }) => self.gone += gone,
                Step::Begin(_, position) => self.begun = Some(position.seq.0),
                step => panic!("{step:?}"),
            }
        }
    }

    fn handed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.handed)
    }
}

fn known(last: u64) -> Follower {
    let place = Position { incarnation: Incarnation(1), seq: Seq(last) };
    Follower::new(&BTreeMap::from([(RoomName::lobby(), place)]), Start::Ago(Duration::ZERO))
}

#[test]
fn in_a_room_that_is_known_what_was_missed_is_handed_out_and_nothing_else() {
    let (mut follower, mut server) = (known(4), Server::new(1..=9));
    server.serve(&mut follower, online(2, 45));
    server.serve(&mut follower, message(4, Arrival::Backlog));
    server.serve(&mut follower, message(5, Arrival::Missed));
    server.serve(&mut follower, entered(Visit::Return, 5));
    server.serve(&mut follower, message(6, Arrival::Live));
    // After a broken connection.
    server.serve(&mut follower, message(7, Arrival::Missed));
    server.serve(&mut follower, entered(Visit::Again, 7));
    assert_eq!((server.handed(), server.asked), (vec![5, 6, 7], 0));
}

#[test]
fn what_the_session_has_left_out_is_asked_for_forwards_and_only_what_is_gone_is_missed() {
    let (mut follower, mut server) = (known(4), Server::new(7..=30));
    server.serve(&mut follower, online(2, 45));
    let gone = Event::Missed { room: RoomName::lobby(), gone: 22 };
    server.serve(&mut follower, gone);
    server.serve(&mut follower, message(27, Arrival::Missed));
    server.serve(&mut follower, message(28, Arrival::Missed));
    assert_eq!((server.handed(), server.gone), ((7..=28).collect(), 2));
    server.serve(&mut follower, entered(Visit::Return, 28));
    server.serve(&mut follower, message(29, Arrival::Live));
    assert_eq!((server.handed(), server.gone), (vec![29], 2));
}

#[test]
fn what_is_too_long_to_come_at_once_comes_in_its_order() {
    for most in [1, 2] {
        let (mut follower, mut server) = (known(4), Server::new(1..=20));
        server.most = most;
        server.serve(&mut follower, online(2, 45));
        server.serve(&mut follower, message(20, Arrival::Live));
        assert_eq!((server.handed(), server.gone), ((5..=20).collect(), 0));
    }
}

#[test]
fn whoever_begins_now_gets_nothing_of_what_was_said_before() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Ago(Duration::ZERO));
    let mut server = Server::new(1..=50);
    server.serve(&mut follower, online(1, 55));
    server.serve(&mut follower, message(5, Arrival::Missed));
    server.serve(&mut follower, entered(Visit::First, 5));
    assert_eq!((server.asked, server.begun), (1, Some(5)));
    server.serve(&mut follower, message(6, Arrival::Live));
    assert_eq!(server.handed(), [6]);
}

#[test]
fn who_speaks_for_the_first_time_is_heard_from_his_first_word() {
    for start in [Start::Ago(Duration::ZERO), Start::Last(0), Start::Last(1)] {
        let mut follower = Follower::new(&BTreeMap::new(), start);
        let mut server = Server::new(1..=2);
        server.serve(&mut follower, online(1, 10));
        server.serve(&mut follower, message(1, Arrival::Missed));
        server.serve(&mut follower, message(2, Arrival::Missed));
        server.serve(&mut follower, entered(Visit::First, 2));
        assert_eq!((server.begun, server.handed()), (Some(0), vec![1, 2]), "{start:?}");
    }
}

#[test]
fn the_last_ones_come_and_what_is_said_meanwhile_behind_them() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Last(5));
    let mut server = Server::new(1..=10);
    server.serve(&mut follower, online(1, 85));
    // One was said before the room was entered.
    server.serve(&mut follower, entered(Visit::First, 9));
    assert_eq!((server.begun, server.handed()), (Some(3), vec![4, 5, 6, 7, 8, 9]));
    server.serve(&mut follower, message(10, Arrival::Live));
    assert_eq!(server.handed(), [10]);
}

#[test]
fn what_was_said_since_a_time_is_found_among_many_by_a_few_questions() {
    for (since, first) in [(0, 1), (55, 6), (60, 6), (2000, 200), (2001, 201)] {
        let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(since)));
        let mut server = Server::new(1..=200);
        server.serve(&mut follower, online(1, 5000));
        server.serve(&mut follower, entered(Visit::First, 200));
        assert_eq!(server.handed(), (first..=200).collect::<Vec<u64>>(), "{since}");
        let pages = (201 - first).div_ceil(LIMIT.into());
        assert!(server.asked as u64 <= pages + 10, "{} questions", server.asked);
    }
    // Also where the server has only the last ones.
    let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(0)));
    let mut server = Server::new(150..=200);
    server.serve(&mut follower, online(1, 5000));
    server.serve(&mut follower, entered(Visit::First, 200));
    assert_eq!((server.handed(), server.gone), ((150..=200).collect(), 0));
}

#[test]
fn whoever_comes_back_to_a_room_is_handed_nothing_twice() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(0)));
    let mut server = Server::new(1..=6);
    server.serve(&mut follower, online(1, 50));
    server.serve(&mut follower, entered(Visit::First, 4));
    assert_eq!(server.handed(), [1, 2, 3, 4]);
    let left = follower.event(Event::Left { room: RoomName::lobby() });
    assert_eq!(left, [Step::Refused(RoomName::lobby(), None)]);
    server.serve(&mut follower, message(6, Arrival::Backlog));
    server.serve(&mut follower, entered(Visit::First, 6));
    assert_eq!(server.handed(), [5, 6]);
}

#[test]
fn only_so_much_is_asked_at_once_and_no_room_is_forgotten() {
    let mut follower = Follower::new(&BTreeMap::new(), Start::Since(Timestamp(0)));
    follower.event(online(1, 0));
    let room = |number: usize| format!("#room{number}").parse::<RoomName>().unwrap();
    let mut open: VecDeque<Ask> = VecDeque::new();
    let mut begun = 0;
    let mut take = |steps: Vec<Step>, open: &mut VecDeque<Ask>| {
        for step in steps {
            match step {
                Step::Ask(ask) => open.push_back(ask),
                Step::Begin(..) => begun += 1,
                _ => {}
            }
        }
        assert!(open.len() <= ASKED);
    };
    for number in 0..100 {
        let info = RoomInfo { last: Seq(1), ..RoomInfo::new(room(number)) };
        take(follower.event(Event::Entered { info, visit: Visit::First }), &mut open);
    }
    while let Some(ask) = open.pop_front() {
        let answer = Ok(Answer::History { messages: vec![said(1)], more: false });
        take(follower.event(Event::Answered { ask, answer }), &mut open);
    }
    assert_eq!(begun, 100);
}

#[test]
fn what_the_server_has_lost_takes_the_place_back() {
    let mut follower = known(4);
    follower.event(online(2, 0));
    let lost = || Event::Withdrawn { room: RoomName::lobby(), after: Seq(3), messages: Vec::new() };
    let back = Position { incarnation: Incarnation(2), seq: Seq(3) };
    assert_eq!(follower.event(lost()), [Step::Withdraw(RoomName::lobby(), back), Step::Tell(lost())]);
    let steps = follower.event(message(4, Arrival::Live));
    assert!(matches!(&steps[..], [Step::Hand(..)]), "{steps:?}");
    let refused = Refused { code: ErrorCode::Forbidden, text: String::new(), hint: None, retry_after_ms: None };
    let not_entered = Event::NotEntered { room: RoomName::lobby(), refused: refused.clone() };
    assert_eq!(follower.event(not_entered), [Step::Refused(RoomName::lobby(), Some(refused))]);
}
