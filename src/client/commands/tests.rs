//! Lines as they are typed.

use super::*;
use crate::proto::message::Availability;

#[test]
fn names_are_unique_and_lower_case() {
    let mut names: Vec<_> = TABLE.iter().flat_map(Entry::names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
}

#[test]
fn lines_are_messages_or_commands() {
    let say = |text: &str| Ok(Action::Say(Body::Text { text: text.to_owned() }));
    assert_eq!(parse(""), Ok(Action::Nothing));
    assert_eq!(parse("  \n "), Ok(Action::Nothing));
    assert_eq!(parse("hello"), say("hello"));
    assert_eq!(parse(" /exit"), say(" /exit"));
    assert_eq!(parse("//etc/passwd"), say("/etc/passwd"));
    assert_eq!(parse("/me  waves"), Ok(Action::Say(Body::Action { text: "waves".to_owned() })));
    assert_eq!(parse("/EXIT"), Ok(Action::Leave));
    assert_eq!(parse("/quit "), Ok(Action::Leave));
    assert_eq!(parse("/history"), Ok(Action::History(None)));
    assert_eq!(parse("/history 5"), Ok(Action::History(Some(5))));
    assert_eq!(parse("/who"), Ok(Action::People));
    assert_eq!(parse("/whois @Bob"), Ok(Action::Whois("bob".parse().unwrap())));
    assert!(matches!(parse("/help /exit"), Ok(Action::Manual(Some(entry))) if entry.name == "exit"));
}

#[test]
fn rooms_users_times_and_reasons_are_told_apart() {
    let (dev, bob): (RoomName, UserName) = ("#dev".parse().unwrap(), "bob".parse().unwrap());
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let reason = |text: &str| Some(text.to_owned());
    let decide = |decision| Ok(Action::Decide(decision));
    assert_eq!(parse("/join #Dev"), Ok(Action::Join(Place::Room(dev))));
    assert_eq!(parse("/part"), Ok(Action::Part(None)));
    assert_eq!(parse("/leave #dev"), Ok(Action::Part(Some(dev))));
    assert_eq!(parse("/3"), Ok(Action::Switch(3)));
    assert_eq!(parse("/topic"), Ok(Action::Topic));
    assert_eq!(parse("/topic  on call: bob "), decide(Decision::Topic("on call: bob".to_owned())));
    assert_eq!(parse("/topic -"), decide(Decision::Topic(String::new())));
    assert_eq!(parse("/kick @bob too  loud"), decide(Decision::Kick(bob, reason("too  loud"))));
    assert_eq!(parse("/mute bob 2h"), decide(Decision::Mute(bob, hours(2))));
    let ban = |server, time, reason| decide(Decision::Ban { user: bob, server, time, reason });
    assert_eq!(parse("/ban bob"), ban(false, None, None));
    assert_eq!(parse("/ban bob 7d 2 many"), ban(false, hours(7 * 24), reason("2 many")));
    assert_eq!(parse("/ban bob --server 12h"), ban(true, hours(12), None));
    assert_eq!(parse("/ban bob spam"), ban(false, None, reason("spam")));
}

#[test]
fn a_status_has_a_kind_and_perhaps_a_time_and_a_text() {
    let status = |availability, seconds, text: Option<&str>| {
        Ok(Action::Status(SetStatus { availability, seconds, text: text.map(str::to_owned) }))
    };
    let dnd = Availability::DoNotDisturb;
    assert_eq!(parse("/status dnd 2h on call"), status(dnd, Some(7200), Some("on call")));
    assert_eq!(parse("/dnd on call"), status(dnd, None, Some("on call")));
    assert_eq!(parse("/away 30m"), status(Availability::Away, Some(1800), None));
    assert_eq!(parse("/back"), status(Availability::Online, None, None));
    let mistake = |line| parse(line).unwrap_err().text;
    assert_eq!(mistake("/status busy"), "/status: online, away or dnd?");
    assert_eq!(mistake("/back home"), "/back: nothing comes after it");
}

#[test]
fn mistakes_name_the_next_thing_to_type() {
    for (line, text, hint) in [
        ("/shutdwon", "there is no command /shutdwon", "/shutdown, or //shutdwon to say it"),
        ("/hlep", "there is no command /hlep", "/help [COMMAND], or //hlep to say it"),
        ("/xyzzy", "there is no command /xyzzy", "/help lists the commands; //xyzzy says it"),
        ("/", "there is no command /", "/help lists the commands; // says it"),
        ("/history many", "/history: many is not a number of messages", "/history [N]"),
        ("/history 0", "/history: 0 is not a number of messages", "/history [N]"),
        ("/whois", "/whois: who?", "/whois USER"),
        ("/join dev", "/join: dev: a room's name starts with #", "/join #ROOM|@USER"),
        ("/mute bob soon", "/mute: soon is not a time", "/mute USER [TIME]"),
        ("/unban bob now", "/unban: nothing comes after it", "/unban USER"),
        ("/3 x", "/3: nothing comes after it", "/3"),
        ("/0", "there is no command /0", "/help lists the commands; //0 says it"),
        ("/exit now", "/exit: nothing comes after it", "/exit"),
    ] {
        assert_eq!(parse(line), Err(Mistake { text: text.to_owned(), hint: hint.to_owned() }), "{line}");
    }
}

#[test]
fn every_command_is_in_the_manual_in_a_line_and_in_full() {
    let lines = manual();
    assert_eq!(lines.len(), TABLE.len());
    for (entry, line) in TABLE.iter().zip(lines) {
        assert!(line.starts_with(&entry.usage()) && line.contains(entry.help));
        assert!(line.len() <= 78, "too long for a terminal: {line}");
        assert!(entry.manual()[0].contains(entry.help));
    }
}

#[test]
fn what_is_said_to_one_alone_may_be_urgent_and_a_user_may_be_ignored() {
    let (bob, body) = ("bob".parse().unwrap(), |text: &str| Body::Text { text: text.to_owned() });
    let tell = |urgent| Action::Tell { user: bob, body: body("hi there"), urgent };
    assert_eq!(parse("/msg bob hi there"), Ok(tell(false)));
    assert_eq!(parse("/w @bob --urgent hi there"), Ok(tell(true)));
    assert_eq!(parse("/msg bob"), Ok(Action::Join(Place::User(bob))));
    assert_eq!(parse("/join @bob"), Ok(Action::Join(Place::User(bob))));
    assert!(parse("/msg bob --urgent").is_err() && parse("/msg").is_err() && parse("/r").is_err());
    assert_eq!(parse("/ignore bob"), Ok(Action::Prefer(Preference::Ignore(bob, true))));
    assert_eq!(parse("/unignore bob"), Ok(Action::Prefer(Preference::Ignore(bob, false))));
    assert_eq!(parse("/ignore"), Ok(Action::Preferences));
    assert_eq!((parse("/hush"), parse("/unhush")), (Ok(Action::Hush(true)), Ok(Action::Hush(false))));
    assert_eq!(parse("/verify bob"), Ok(Action::Verify { user: bob, compared: false }));
    assert_eq!(parse("/verify bob yes"), Ok(Action::Verify { user: bob, compared: true }));
    assert!(parse("/verify bob no").is_err());
    assert_eq!(parse("/trust bob"), Ok(Action::Trust(bob)));
}
