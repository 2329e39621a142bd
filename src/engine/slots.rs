//! A table whose places are re-let, and whose keys show it: a key of an earlier tenant finds nobody.
//! Used for instances here and for everything that has a descriptor in the reactor.

use super::id::Key;
use alloc::vec::Vec;

/// A generational slab: constant-time access, keys that go stale instead of naming the next tenant.
#[derive(Debug)]
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a place to `value`.
    pub fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Lets a place to a value that wants to know its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let key = self.vacancy();
        self.places[key.slot as usize].tenant = Some(make(key));
        key
    }

    /// The tenant of `key`, if it is still the same one.
    pub fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.slot as usize)?;
        if place.generation == key.generation { place.tenant.as_ref() } else { None }
    }

    /// As [`get`](Self::get), to change it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.slot as usize)?;
        if place.generation == key.generation { place.tenant.as_mut() } else { None }
    }

    /// Whether `key` still finds somebody.
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// Moves the tenant out; from here on its key finds nobody.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.slot as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(tenant)
    }

    /// All tenants in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(slot, place)| {
            let key = Key { slot: slot as u32, generation: place.generation };
            place.tenant.as_ref().map(|tenant| (key, tenant))
        })
    }

    /// As [`iter`](Self::iter), to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(slot, place)| {
            let key = Key { slot: slot as u32, generation: place.generation };
            place.tenant.as_mut().map(|tenant| (key, tenant))
        })
    }

    /// How many tenants there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether nobody lives here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn vacancy(&mut self) -> Key {
        if let Some(slot) = self.free.pop() {
            return Key { slot, generation: self.places[slot as usize].generation };
        }
        let slot = u32::try_from(self.places.len()).expect("a table never holds four billion places");
        self.places.push(Place { generation: 0, tenant: None });
        Key { slot, generation: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_tenant_until_it_moves_out() {
        let mut slots = Slots::new();
        let a = slots.insert('a');
        let b = slots.insert('b');
        assert_eq!((slots.get(a), slots.get(b), slots.len()), (Some(&'a'), Some(&'b'), 2));
        assert_eq!(slots.remove(a), Some('a'));
        assert_eq!((slots.remove(a), slots.len()), (None, 1));
        assert_eq!(slots.get(a), None);
    }

    #[test]
    fn a_re_let_place_does_not_answer_to_the_old_key() {
        let mut slots = Slots::new();
        let old = slots.insert('a');
        slots.remove(old);
        let new = slots.insert('b');
        assert_eq!(new.slot, old.slot);
        assert_ne!(new.generation, old.generation);
        assert_eq!(slots.get_mut(old), None);
        assert!(!slots.contains(old));
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&'b'));
    }

    #[test]
    fn a_tenant_can_know_its_own_key() {
        let mut slots = Slots::new();
        let key = slots.insert_with(|key| key);
        assert_eq!(slots.get(key), Some(&key));
    }

    #[test]
    fn iteration_skips_empty_places_and_names_current_keys() {
        let mut slots = Slots::new();
        let a = slots.insert(1);
        let b = slots.insert(2);
        let c = slots.insert(3);
        slots.remove(b);
        for (_, value) in slots.iter_mut() {
            *value *= 10;
        }
        let seen: Vec<_> = slots.iter().map(|(key, value)| (key, *value)).collect();
        assert_eq!(seen, [(a, 10), (c, 30)]);
        assert!(!slots.is_empty());
    }

    #[test]
    fn a_key_from_elsewhere_finds_nobody() {
        let mut slots: Slots<u8> = Slots::default();
        let far = Key { slot: 7, generation: 0 };
        assert_eq!(slots.get(far), None);
        assert_eq!(slots.get_mut(far), None);
        assert_eq!(slots.remove(far), None);
    }
}
