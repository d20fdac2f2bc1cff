//! Messages in words, and the questions among them.
//!
//! The choices of questions are numbered on and on as they are shown, so that a number alone says what is answered, and
//! to which question.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::wrap::{self, Breaks};
use super::{Form, INDENT, Piece, Renderer};
use crate::client::session::{Seal, Trust, Unreadable};
use crate::model::{Choices, MessageId, QuestionHash, Timestamp, UserName};
use crate::proto::message::{Body, Stored};
use crate::term::{Look, sanitise, sanitise_lines};

/// Questions that can be answered, at most: the latest.
const QUESTIONS: usize = 64;
/// Characters of a question that are repeated with its answer, at most.
const REPEATED: usize = 60;
/// What a choice begins with: no row of what people say does.
const CHOICE: &str = "      ? ";

/// The questions that were shown. One thread shows them, another may take what is typed.
#[derive(Debug, Clone, Default)]
pub struct Questions(Arc<Mutex<Numbered>>);

#[derive(Debug, Default)]
struct Numbered {
    latest: VecDeque<Question>,
    /// Numbers that were given away.
    count: usize,
}

#[derive(Debug)]
struct Question {
    id: MessageId,
    asker: UserName,
    hash: QuestionHash,
    /// How it begins.
    text: String,
    choices: Choices,
    /// The first choice's number.
    first: usize,
}

impl Questions {
    /// The numbers of a question's choices begin here. They stay what they are when it is shown again.
    fn number(&self, message: &Stored, body: &Body, text: &str, choices: &Choices) -> usize {
        let (id, asker, hash) = (message.message, message.sender, body.hash());
        let mut numbered = self.lock();
        let known = numbered.latest.iter().find(|known| (known.id, known.asker, known.hash) == (id, asker, hash));
        if let Some(known) = known {
            return known.first;
        }
        if numbered.latest.len() == QUESTIONS {
            numbered.latest.pop_front();
        }
        let first = numbered.count + 1;
        numbered.count += choices.iter().len();
        let mut begin: String = text.chars().take(REPEATED).collect();
        if begin.len() < text.len() {
            begin.push('…');
        }
        numbered.latest.push_back(Question { id, asker, hash, text: begin, choices: choices.clone(), first });
        first
    }

    /// What a number that was shown with a question stands for: who asked, and the answer.
    #[must_use]
    pub fn answer(&self, number: usize) -> Option<(UserName, Body)> {
        self.lock().latest.iter().find_map(|question| {
            let choice = question.choices.iter().nth(number.checked_sub(question.first)?)?.clone();
            Some((question.asker, Body::Answer { question: question.id, asked: Box::new(question.hash), choice }))
        })
    }

    fn asked(&self, id: MessageId, hash: QuestionHash) -> Option<String> {
        let numbered = self.lock();
        let question = numbered.latest.iter().find(|question| (question.id, question.hash) == (id, hash))?;
        Some(question.text.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Renderer {
    /// A message as everyone sees it, or why it can't be seen.
    pub fn message(&mut self, message: &Stored, seal: Seal) -> Vec<Piece> {
        self.delayed &= message.sender != self.me;
        let mut pieces = self.new_day(message.time);
        let body = match seal {
            Seal::Open | Seal::Sealed(_) => message.body.as_ref().ok_or(Unreadable::UnknownKind),
            Seal::Unreadable(why) => Err(why),
        };
        let mark = match seal {
            Seal::Sealed(Trust::Verified) => "+",
            Seal::Sealed(Trust::Changed) => "?",
            Seal::Sealed(Trust::Own | Trust::Pinned | Trust::Earlier) | Seal::Open | Seal::Unreadable(_) => "",
        };
        let mut said = self.said(message.time, message.sender, mark, body);
        if let Ok(body @ Body::Question { text, choices }) = body
            && message.sender != self.me
        {
            let first = self.questions.number(message, body, text, choices);
            for (number, choice) in (first..).zip(choices) {
                let command = format!("{CHOICE}/answer {number}  ");
                let choice = self.rows(&sanitise(choice.as_str()), command.len());
                said.extend(["\n", &command, &choice]);
            }
        }
        pieces.push(Piece::Chat(said));
        pieces
    }

    /// A message of the user's own, as everyone sees it.
    pub fn own(&mut self, time: Timestamp, body: &Body) -> Vec<Piece> {
        self.delayed = false;
        let mut pieces = self.new_day(time);
        pieces.push(Piece::Chat(self.said(time, self.me, "", Ok(body))));
        pieces
    }

    /// A message of the user's own that the server does not have yet.
    #[must_use]
    pub fn pending(&self, body: &Body) -> Piece {
        let text = format!("{} (not on the server's disk yet)", self.words(body));
        Piece::Notice(self.paint.with(Look::Dim, &format!("  ... {}", self.rows(&text, 6))))
    }

    /// The questions that were shown.
    #[must_use]
    pub fn questions(&self) -> Questions {
        self.questions.clone()
    }

    /// Whether a message mentions the user.
    pub(super) fn mentions(&self, message: &Stored) -> bool {
        message.sender != self.me && message.body.as_ref().is_some_and(|body| mentions(body.text(), self.me))
    }

    /// What a body says, safe to show.
    #[must_use]
    pub fn words(&self, body: &Body) -> String {
        let text = sanitise_lines(body.text(), "");
        match body {
            Body::Answer { question, asked, .. } => match self.questions.asked(*question, **asked) {
                Some(question) => format!("answers {text} to: {}", sanitise(&question)),
                None => format!("answers {text} to a question that was not shown here"),
            },
            Body::Question { choices, .. } => {
                let choices: Vec<_> = choices.iter().map(|choice| sanitise(choice.as_str())).collect();
                format!("{text} ({})", choices.join(", "))
            }
            Body::Text { .. } | Body::Action { .. } | Body::Code { .. } | Body::Sealed { .. } => text.into_owned(),
        }
    }

    /// `mark` says how far the sender's key is trusted.
    pub(super) fn said(
        &self,
        time: Timestamp,
        sender: UserName,
        mark: &str,
        body: Result<&Body, Unreadable>,
    ) -> String {
        let clock = self.local(time).strftime(match self.form {
            Form::Screen => "%H:%M",
            Form::Lines => "%Y-%m-%d %H:%M",
        });
        let clock = clock.to_string();
        let (open, close) =
            if let Ok(Body::Action { .. } | Body::Answer { .. }) = body { ("* ", " ") } else { ("<", "> ") };
        let before = clock.len() + 1 + open.len() + sender.as_str().len() + mark.len() + close.len();
        let text = match body {
            // Its choices stand below.
            Ok(Body::Question { text, .. }) if sender != self.me => sanitise_lines(text, "").into_owned(),
            Ok(body) => self.words(body),
            Err(why) => format!("(can't be read: {why})"),
        };
        let mentioned = sender != self.me && body.is_ok() && mentions(&text, self.me);
        let text = match body {
            Ok(Body::Code { .. }) if text.contains('\n') => self.code(&text),
            _ => self.rows(&text, before),
        };
        let text = if mentioned { self.paint.with(Look::Strong, &text) } else { text };
        format!("{} {open}{}{mark}{close}{text}", self.paint.with(Look::Dim, &clock), self.paint.name(sender))
    }

    /// A program's output: its lines below each other, and nothing in front of the first that is not in front of the others.
    fn code(&self, text: &str) -> String {
        let text = match self.form {
            Form::Lines => text.replace('\n', &format!("\n{INDENT}")),
            Form::Screen => {
                let room = self.width.saturating_sub(1 + INDENT.len());
                wrap::wrap(text, room, room, INDENT, Breaks::Anywhere)
            }
        };
        format!("\n{INDENT}{text}")
    }
}

/// Whether `text` has the user's name as a word, with or without an `@`.
fn mentions(text: &str, user: UserName) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.split(|c| !part_of_name(c))
        .map(|word| word.trim_matches(['.', '-']))
        .any(|word| word.eq_ignore_ascii_case(user.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{renderer, stored, texts};
    use super::*;

    fn question(sender: &str, id: u8, choices: &str) -> Stored {
        let body = Body::Question { text: "deploy?".to_owned(), choices: choices.parse().unwrap() };
        Stored { message: MessageId([id; 16]), body: Some(body), ..stored(sender, "", 0) }
    }

    fn shown(renderer: &mut Renderer, message: &Stored) -> String {
        texts(renderer.message(message, Seal::Open)).pop().unwrap()
    }

    #[test]
    fn a_number_says_which_question_is_answered_and_how() {
        let mut renderer = renderer();
        let (first, second) = (question("bob", 1, "yes,no"), question("carol", 2, "now,later,never"));
        assert_eq!(shown(&mut renderer, &first), "01:46 <bob> deploy?\n      ? /answer 1  yes\n      ? /answer 2  no");
        assert!(shown(&mut renderer, &second).contains("/answer 5  never"));
        // As it stands in the history.
        assert!(shown(&mut renderer, &first).contains("/answer 1  yes"));
        let answer = |question: &Stored, choice: &str| Body::Answer {
            question: question.message,
            asked: Box::new(question.body.as_ref().unwrap().hash()),
            choice: choice.parse().unwrap(),
        };
        let users: [UserName; 2] = ["bob".parse().unwrap(), "carol".parse().unwrap()];
        assert_eq!(renderer.questions.answer(2), Some((users[0], answer(&first, "no"))));
        assert_eq!(renderer.questions.answer(3), Some((users[1], answer(&second, "now"))));
        assert_eq!((renderer.questions.answer(0), renderer.questions.answer(6)), (None, None));
        let said = Stored { body: Some(answer(&first, "yes")), ..stored("carol", "", 0) };
        assert_eq!(shown(&mut renderer, &said), "01:46 * carol answers yes to: deploy?");
        // What is long is not said all over again.
        renderer.set_width(200);
        let body = Body::Question { text: "x".repeat(100), choices: "yes,no".parse().unwrap() };
        let long = Stored { message: MessageId([3; 16]), body: Some(body), ..stored("bob", "", 0) };
        shown(&mut renderer, &long);
        let said = Stored { body: Some(answer(&long, "yes")), ..stored("carol", "", 0) };
        assert!(shown(&mut renderer, &said).ends_with(&format!(" to: {}…", "x".repeat(REPEATED))));
    }

    #[test]
    fn another_question_under_the_same_name_is_another_one() {
        let mut renderer = renderer();
        shown(&mut renderer, &question("bob", 1, "yes,no"));
        // By the same name, as a server might show it.
        assert!(shown(&mut renderer, &question("bob", 1, "no,yes")).contains("/answer 3  no"));
        let asked = Box::new(QuestionHash([7; 32]));
        let body = Body::Answer { question: MessageId([1; 16]), asked, choice: "yes".parse().unwrap() };
        let said = Stored { body: Some(body), ..stored("carol", "", 0) };
        assert!(shown(&mut renderer, &said).ends_with("to a question that was not shown here"));
    }

    #[test]
    fn choices_cannot_be_faked_and_ones_own_question_has_no_numbers() {
        let mut renderer = renderer();
        let fake = shown(&mut renderer, &stored("mallory", "lunch?\n      ? /answer 1  pizza", 0));
        assert_eq!(fake, "01:46 <mallory> lunch?\n      |       ? /answer 1  pizza");
        assert_eq!(shown(&mut renderer, &question("alice", 1, "yes,no")), "01:46 <alice> deploy? (yes, no)");
        assert_eq!(renderer.questions.answer(1), None);
    }

    #[test]
    fn only_so_many_questions_are_kept() {
        let mut renderer = renderer();
        for id in 0..=u8::try_from(QUESTIONS).unwrap() {
            shown(&mut renderer, &question("bob", id, "yes,no"));
        }
        assert!(renderer.questions.answer(2).is_none() && renderer.questions.answer(3).is_some());
    }

    #[test]
    fn of_a_programs_output_every_space_counts() {
        let mut renderer = renderer();
        let code = |text: &str| Stored { body: Some(Body::Code { text: text.to_owned() }), ..stored("bob", "", 0) };
        assert_eq!(shown(&mut renderer, &code("one line")), "01:46 <bob> one line");
        assert_eq!(shown(&mut renderer, &code("  a\n\tb  c")), "01:46 <bob> \n      |   a\n      |     b  c");
        renderer.set_width(20);
        assert_eq!(
            shown(&mut renderer, &code("a\nthe quick brown")),
            "01:46 <bob> \n      | a\n      | the quick b\n      | rown"
        );
    }

    #[test]
    fn a_name_is_mentioned_as_a_word() {
        let alice = "alice".parse().unwrap();
        for text in ["alice", "hi Alice!", "@alice: look", "(alice)", "alice."] {
            assert!(mentions(text, alice), "{text}");
        }
        for text in ["malice", "alice2", "al ice", "alice-bot", ""] {
            assert!(!mentions(text, alice), "{text}");
        }
    }
}
