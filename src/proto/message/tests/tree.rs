//! Any CBOR item with definite lengths, as a tree: a second, independent reading of what a decoder accepts.

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Unsigned(u64),
    Negative(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Tree>),
    // Sorted by the encoding of the keys.
    Map(Vec<(Tree, Tree)>),
    Tagged(u64, Box<Tree>),
    Bool(bool),
    Null,
}

impl Tree {
    /// Reads one item of moderate depth and nothing after it; nothing for other items.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        let tree = Self::item(&mut decoder, 0)?;
        (decoder.position() == bytes.len()).then_some(tree)
    }

    fn item(d: &mut Decoder<'_>, depth: u32) -> Option<Self> {
        if depth > 30 {
            return None;
        }
        Some(match d.datatype().ok()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => Self::Unsigned(d.u64().ok()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                Self::Negative(u64::try_from(-1 - i128::from(d.int().ok()?)).ok()?)
            }
            Type::Bytes => Self::Bytes(d.bytes().ok()?.to_vec()),
            Type::String => Self::Text(d.str().ok()?.to_owned()),
            Type::Array => {
                let length = d.array().ok()??;
                Self::Array((0..length).map(|_| Self::item(d, depth + 1)).collect::<Option<_>>()?)
            }
            Type::Map => {
                let length = d.map().ok()??;
                let entries = (0..length).map(|_| Some((Self::item(d, depth + 1)?, Self::item(d, depth + 1)?)));
                Self::map(entries.collect::<Option<_>>()?)?
            }
            Type::Tag => Self::Tagged(d.tag().ok()?.as_u64(), Box::new(Self::item(d, depth + 1)?)),
            Type::Bool => Self::Bool(d.bool().ok()?),
            Type::Null => {
                d.null().ok()?;
                Self::Null
            }
            _ => return None,
        })
    }

    fn map(mut entries: Vec<(Self, Self)>) -> Option<Self> {
        entries.sort_by_cached_key(|(key, _)| key.bytes());
        let repeated = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!repeated).then_some(Self::Map(entries))
    }

    /// The one deterministic encoding (RFC 8949, 4.2.1).
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut Encoder::new(&mut out));
        out
    }

    fn write(&self, e: &mut Encoder<&mut Vec<u8>>) {
        match self {
            Self::Unsigned(number) => e.u64(*number).map(|_| ()).unwrap(),
            Self::Negative(number) => {
                e.int((-1 - i128::from(*number)).try_into().unwrap()).map(|_| ()).unwrap();
            }
            Self::Bytes(bytes) => e.bytes(bytes).map(|_| ()).unwrap(),
            Self::Text(text) => e.str(text).map(|_| ()).unwrap(),
            Self::Array(items) => {
                e.array(items.len() as u64).unwrap();
                for item in items {
                    item.write(e);
                }
            }
            Self::Map(entries) => {
                e.map(entries.len() as u64).unwrap();
                for (key, value) in entries {
                    key.write(e);
                    value.write(e);
                }
            }
            Self::Tagged(tag, item) => {
                e.tag(Tag::new(*tag)).unwrap();
                item.write(e);
            }
            Self::Bool(value) => e.bool(*value).map(|_| ()).unwrap(),
            Self::Null => e.null().map(|_| ()).unwrap(),
        }
    }

    /// Whether `again` is this with map entries left out, and with `2: false`, `3: false` or `5: false` added: the defaults of
    /// the protocol.
    pub(super) fn covers(&self, again: &Self) -> bool {
        let is_default =
            |key: &Self, value: &Self| matches!((key, value), (Self::Unsigned(2 | 3 | 5), Self::Bool(false)));
        self.has(again, &is_default)
    }

    /// Whether `part` is this with map entries left out.
    pub(super) fn contains(&self, part: &Self) -> bool {
        self.has(part, &|_, _| false)
    }

    /// Whether `part` is this with map entries left out, and with those added that `may` be.
    fn has(&self, part: &Self, may: &impl Fn(&Self, &Self) -> bool) -> bool {
        match (self, part) {
            (Self::Array(items), Self::Array(parts)) => {
                items.len() == parts.len() && items.iter().zip(parts).all(|(item, part)| item.has(part, may))
            }
            (Self::Map(entries), Self::Map(parts)) => parts.iter().all(|(key, part)| {
                let entry = entries.iter().find(|(known, _)| known == key);
                entry.map_or_else(|| may(key, part), |(_, value)| value.has(part, may))
            }),
            _ => self == part,
        }
    }

    /// Puts `value` under `key` into one of the maps with integer keys, or takes the key out.
    pub(super) fn edit(&mut self, choose: impl FnOnce(usize) -> usize, key: u64, value: Option<&Self>) {
        let mut maps = Vec::new();
        self.maps(&mut maps);
        if maps.is_empty() {
            return;
        }
        let chosen = choose(maps.len());
        let entries = maps.swap_remove(chosen);
        entries.retain(|(known, _)| *known != Self::Unsigned(key));
        entries.extend(value.map(|value| (Self::Unsigned(key), value.clone())));
        entries.sort_by_cached_key(|(key, _)| key.bytes());
    }

    fn maps<'a>(&'a mut self, found: &mut Vec<&'a mut Vec<(Self, Self)>>) {
        // Those inside a map are not offered: a map can't be edited while its values are held.
        match self {
            Self::Array(items) => items.iter_mut().for_each(|item| item.maps(found)),
            Self::Map(entries) => found.push(entries),
            _ => {}
        }
    }
}

/// A small tree of any shape.
pub(super) fn any_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Tree::Unsigned),
        any::<u64>().prop_map(Tree::Negative),
        vec(any::<u8>(), 0..40).prop_map(Tree::Bytes),
        any::<String>().prop_map(Tree::Text),
        "[a-z0-9]{1,8}".prop_map(Tree::Text),
        any::<bool>().prop_map(Tree::Bool),
        Just(Tree::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Tree::Array),
            vec((0..6_u64, inner.clone()), 0..5).prop_filter_map("a key stands twice", |entries| {
                Tree::map(entries.into_iter().map(|(key, value)| (Tree::Unsigned(key), value)).collect())
            }),
            (0..u64::MAX, inner).prop_map(|(tag, item)| Tree::Tagged(tag, Box::new(item))),
        ]
    })
}
