//! The dictionary: a number for each metric's name, the same in every file and for ever.

use crate::error::{Error, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Names and numbers. Numbers count up from 1; only the writer's thread adds one.
#[derive(Default)]
pub struct Dictionary(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    numbers: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    names: Vec<Arc<str>>,
}

impl Dictionary {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read().names.len()
    }

    /// The number of a name, a new one if need be.
    pub fn intern(&self, name: &str) -> u32 {
        if let Some(number) = self.0.read().numbers.get(name) {
            return *number;
        }
        let mut inner = self.0.write();
        let name: Arc<str> = name.into();
        inner.names.push(name.clone());
        let number = inner.names.len() as u32;
        *inner.numbers.entry(name).or_insert(number)
    }

    /// The numbers of names; `None` for one that has none yet.
    pub fn numbers<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<Option<u32>> {
        let inner = self.0.read();
        names.map(|name| inner.numbers.get(name).copied()).collect()
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> Option<Arc<str>> {
        self.0.read().names.get((number as usize).checked_sub(1)?).cloned()
    }

    /// The names after the first `kept`, with their numbers.
    pub fn from(&self, kept: usize) -> Vec<(u32, Arc<str>)> {
        let inner = self.0.read();
        inner.names.iter().enumerate().skip(kept).map(|(i, name)| (i as u32 + 1, name.clone())).collect()
    }

    /// Takes back a kept name. Numbers must come without gaps; one that is known must have the same name.
    pub fn restore(&self, number: u32, name: &str) -> Result<()> {
        let mut inner = self.0.write();
        let known = inner.names.len();
        match (number as usize).checked_sub(1) {
            Some(at) if at < known && *inner.names[at] == *name => Ok(()),
            Some(at) if at == known => {
                let name: Arc<str> = name.into();
                inner.names.push(name.clone());
                inner.numbers.insert(name, number);
                Ok(())
            }
            _ => Err(Error::Corrupt {
                what: format!("the dictionary of metrics at number {number}"),
                why: "it does not go on where it should, or the files do not belong together".into(),
            }),
        }
    }
}
