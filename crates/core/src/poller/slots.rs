//! Places for listeners and connections. A place is used again, an id never is: it carries a
//! generation, so that the holder of an old one reaches no connection.

use super::acceptor::Acceptor;
use super::endpoint::Endpoint;
use crate::address::Address;
use crate::buffer::OutOfMemory;
use crate::id::Id;
use crate::tls::Session;

/// What a place holds.
pub(super) enum Occupant {
    Vacant,
    /// A connection was here, until the consumer that gets the batch has seen its end.
    Gone(Departed),
    Acceptor(Acceptor),
    Endpoint(Box<Endpoint>),
}

/// What can still be asked of a connection that is gone.
pub(super) struct Departed {
    /// Where its peer was.
    pub(super) peer: Option<Address>,
    /// Its end of TLS.
    pub(super) session: Option<Box<Session>>,
}

struct Slot {
    generation: u32,
    /// On the ready list. A place is listed once, however often it has become ready.
    listed: bool,
    occupant: Occupant,
}

#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

impl Slots {
    /// The id that the next [`Self::occupy`] is for.
    ///
    /// # Errors
    /// [`OutOfMemory`]: peers decide how many places there are.
    pub(super) fn next_id(&mut self) -> Result<Id, OutOfMemory> {
        if self.vacant.is_empty() {
            self.add()?;
        }
        let slot = self.vacant.last().copied().unwrap_or_default();
        Ok(self.id_at(slot))
    }

    fn add(&mut self) -> Result<(), OutOfMemory> {
        self.slots.try_reserve(1)?;
        // For all of them: leaving a place must not fail.
        self.vacant.try_reserve(self.slots.len() + 1)?;
        self.vacant.push(self.slots.len() as u32);
        self.slots.push(Slot {
            generation: 0,
            listed: false,
            occupant: Occupant::Vacant,
        });
        Ok(())
    }

    /// How many places there are.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Gives a place to `occupant`; `id` is the last that [`Self::next_id`] has returned.
    pub(super) fn occupy(&mut self, id: Id, occupant: Occupant) {
        debug_assert_eq!(self.vacant.last(), Some(&id.slot), "asked for before");
        self.vacant.pop();
        self.slots[id.slot as usize].occupant = occupant;
    }

    pub(super) fn vacate(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        place.occupant = Occupant::Vacant;
        place.generation = place.generation.wrapping_add(1);
        self.vacant.push(slot);
    }

    pub(super) fn at(&mut self, slot: u32) -> &mut Occupant {
        &mut self.slots[slot as usize].occupant
    }

    pub(super) fn occupants(&self) -> impl Iterator<Item = &Occupant> {
        self.slots.iter().map(|slot| &slot.occupant)
    }

    pub(super) fn id_at(&self, slot: u32) -> Id {
        Id {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    /// The occupant that has this id, if no other took the place meanwhile.
    pub(super) fn find(&mut self, id: Id) -> Option<&mut Occupant> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        (slot.generation == id.generation).then_some(&mut slot.occupant)
    }

    pub(super) fn endpoint(&mut self, id: Id) -> Option<&mut Endpoint> {
        match self.find(id)? {
            Occupant::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// Notes that `slot` is on the ready list; whether it was not before.
    pub(super) fn list(&mut self, slot: u32) -> bool {
        !std::mem::replace(&mut self.slots[slot as usize].listed, true)
    }

    pub(super) fn unlist(&mut self, slot: u32) {
        self.slots[slot as usize].listed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occupied(slots: &mut Slots) -> Id {
        let id = slots.next_id().expect("there is memory");
        slots.occupy(id, Occupant::Vacant);
        id
    }

    #[test]
    fn an_old_id_reaches_nobody() {
        let mut slots = Slots::default();
        let first = occupied(&mut slots);
        assert!(slots.find(first).is_some());
        slots.vacate(first.slot);
        assert!(slots.find(first).is_none());
        let second = occupied(&mut slots);
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
        assert!(slots.find(first).is_none());
        assert_eq!(Id::from_key(second.key()), second);
    }

    #[test]
    fn a_place_is_listed_once() {
        let mut slots = Slots::default();
        let id = occupied(&mut slots);
        assert!(slots.list(id.slot));
        assert!(!slots.list(id.slot));
        slots.unlist(id.slot);
        assert!(slots.list(id.slot));
    }
}
