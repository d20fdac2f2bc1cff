//! `rsachat ask`, and who answers.

use serde_json::json;

use super::*;

impl World {
    fn ask(&self, user: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(user, PROGRAM);
        let key = data("test_server.pem");
        command.args(["ask", "--server", &self.address(), "--user", user, "--server-key"]).arg(key).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[track_caller]
fn is(child: Child, code: i32, out: &str, error: &str) {
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stdout).unwrap().as_str()),
        (Some(code), out),
        "{errors}"
    );
    assert!(errors.contains(error) && (errors.is_empty() || !error.is_empty()), "{errors}");
}

#[test]
fn a_person_answers_at_a_terminal() {
    let world = World::new();
    let mut bob = world.chatting("bob");
    let asked = world.ask("alice", &["bob", "deploy?", "--choices", "yes,no"]);
    bob.expect("alice says something to you alone").unwrap();
    bob.send("/2\r").unwrap();
    bob.expect("<alice> deploy?").unwrap();
    bob.expect("/answer 2  no").unwrap();
    bob.send("/answer 3\r").unwrap();
    bob.expect("no question was shown here that /answer 3 answers").unwrap();
    bob.send("/answer 2\r").unwrap();
    bob.expect("answers no to: deploy?").unwrap();
    is(asked, 21, "no\n", "");
    bob.send("/exit\r").unwrap();
    assert_eq!(end(bob).1, 0);
}

#[test]
fn in_a_room_everybody_sees_what_came_of_it() {
    let world = World::new();
    let mut bob = world.pipe("bob");
    bob.say("/list");
    bob.hears("1 user in #common");
    let asked = world.ask("alice", &["#common", "who takes it?", "--choices", "me,not me", "--from", "bob"]);
    bob.hears("/answer 1  me");
    bob.say("/answer 1");
    bob.hears("* alice has bob's answer, me, to: who takes it?");
    is(asked, 0, "me\n", "");
    let (.., status) = bob.end();
    assert!(status.success());
}

#[test]
fn an_answer_to_another_question_or_of_somebody_else_does_not_count() {
    let world = World::new();
    let mut bob = world.program("bob", &[]);
    let asked = world.ask("alice", &["bob", "deploy?", "--choices", "yes,no"]);
    let question = bob.hears(&json!({"type": "message", "kind": "question"}));
    let answer = |asked: &str, choice: &str| {
        let id = &question["id"];
        json!({"command": "answer", "user": "alice", "question": id, "asked": asked, "choice": choice})
    };
    // As if a server had shown him another one; a choice that is none; another question.
    bob.asks(&answer(&"00".repeat(32), "yes"));
    bob.asks(&answer(question["asked"].as_str().unwrap(), "perhaps"));
    let mut other = answer(question["asked"].as_str().unwrap(), "yes");
    other["question"] = json!("00".repeat(16));
    bob.asks(&other);
    bob.asks(&answer(question["asked"].as_str().unwrap(), "no"));
    is(asked, 21, "no\n", "bob was shown another question");
}

#[test]
fn the_answer_is_the_exit_code_whoever_reads_it() {
    let mut world = World::new();
    let mut bob = world.program("bob", &[]);
    let mut asked = world.ask("alice", &["bob", "deploy?", "--choices", "yes,no"]);
    // As with `| true`.
    drop(asked.stdout.take());
    let question = bob.hears(&json!({"type": "message", "kind": "question"}));
    bob.asks(&json!({
        "command": "answer", "user": "alice", "question": question["id"], "asked": question["asked"], "choice": "no",
    }));
    is(asked, 21, "", "");
    drop(bob);
    world.kill_server();
    let asked = world.ask("alice", &["bob", "deploy?", "--choices", "yes,no", "--timeout", "1s"]);
    is(asked, 3, "", "the server has not taken the question");
}

#[test]
fn each_end_has_its_exit_code() {
    let world = World::new();
    let choices = ["--choices", "yes,no"];
    let ask = |arguments: &[&str]| world.ask("alice", &[arguments, &choices[..]].concat());
    is(ask(&["bob", "deploy?", "--timeout", "1s"]), 10, "", "nobody has answered within 1 s");
    is(ask(&["nobody", "deploy?"]), 7, "", "no user nobody is registered");
    is(ask(&["#nowhere", "deploy?"]), 8, "", "#nowhere");
    is(ask(&["alice", "deploy?"]), 2, "", "alice is you");
    is(ask(&["bob", " "]), 2, "", "there is no question");
    is(ask(&["bob", "deploy?", "--from", "alice"]), 2, "", "only bob is asked");
    is(world.ask("alice", &["bob", "deploy?", "--choices", "yes"]), 2, "", "2 to 9 choices");
    let nobody = world.ask("alice", &["#common", "deploy?", "--choices", "yes,no", "--from", "nobody"]);
    is(nobody, 7, "", "no user nobody is registered");
    // Who can't be answered is told so at once.
    let mut alice = world.pipe("alice");
    alice.say("/dnd 1h");
    assert!(alice.end().2.success());
    is(ask(&["bob", "deploy?"]), 9, "", "no answer would reach you");
    let mut alice = world.pipe("alice");
    alice.say("/back");
    assert!(alice.end().2.success());
    let mut bob = world.pipe("bob");
    bob.say("/status dnd 2h on call");
    assert!(bob.end().2.success());
    is(ask(&["bob", "deploy?"]), 9, "", "on call");
}
