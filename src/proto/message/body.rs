//! What messages say.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode, Encoder};

use super::{Malformed, decode_whole};
use crate::crypto::kdf;
use crate::model::{Choice, Choices, MessageId, QuestionHash, SenderKeyId};

/// What a message says. Kinds that come later join here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Body {
    /// Something said.
    #[n(0)]
    Text {
        /// What is said.
        #[n(0)]
        text: String,
    },
    /// Something done, as `/me` tells it: the text continues the sender's name.
    #[n(1)]
    Action {
        /// What is done.
        #[n(0)]
        text: String,
    },
    /// Something that only the room's members can read ([`crate::e2e`]): one of the others, sealed.
    #[n(2)]
    Sealed {
        /// The sender key that opens it.
        #[n(0)]
        key: SenderKeyId,
        /// COSE_Encrypt0.
        #[n(1)]
        sealed: ByteVec,
    },
    /// Something of which every space counts: a program's output.
    #[n(3)]
    Code {
        /// As it was.
        #[n(0)]
        text: String,
    },
    /// Something to be answered with one of some choices.
    #[n(4)]
    Question {
        /// What is asked.
        #[n(0)]
        text: String,
        /// What can be answered.
        #[n(1)]
        choices: Choices,
    },
    /// The answer to a question.
    #[n(5)]
    Answer {
        /// The message that asked.
        #[n(0)]
        question: MessageId,
        /// What it asked, as the sender of the answer was shown it. In a box, so that this rare kind makes no post larger.
        #[n(1)]
        asked: Box<QuestionHash>,
        /// The answer.
        #[n(2)]
        choice: Choice,
    },
}

impl Body {
    /// The text, whatever kind it is; none of a sealed one.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text { text } | Self::Action { text } | Self::Code { text } | Self::Question { text, .. } => text,
            Self::Answer { choice, .. } => choice.as_str(),
            Self::Sealed { .. } => "",
        }
    }

    /// How much it says, or how much it is, sealed; bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Sealed { sealed, .. } => sealed.len(),
            Self::Question { text, choices } => {
                choices.iter().fold(text.len(), |sum, choice| sum + choice.as_str().len())
            }
            other => other.text().len(),
        }
    }

    /// Of a question: what names it with its choices, so that an answer can't be taken for that to another one. SHA-256 over
    /// [`Body::to_cbor`].
    #[must_use]
    pub fn hash(&self) -> QuestionHash {
        QuestionHash(kdf::digest(&self.to_cbor()))
    }

    /// The body alone, as the database keeps it: deterministic CBOR (RFC 8949, section 4.2.1).
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text().len() + 8);
        // Writing into a Vec can't fail, and no encoder here refuses a value.
        let _ = Encoder::new(&mut out).encode(self);
        out
    }

    /// Reads what [`Body::to_cbor`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one body of a kind that this version knows.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, Malformed> {
        decode_whole(bytes)
    }
}
