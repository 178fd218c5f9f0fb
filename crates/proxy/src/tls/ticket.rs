//! Session tickets: the state of a session, sealed, which the client keeps (RFC 5077; RFC 8446 section 4.6.1).
//!
//! Every instance with the same secret derives the same keys from it, a new one each hour, so that none has to tell the
//! others. A ticket is the second it was made in, a nonce, and the state under AES-256-GCM.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use edgeward_routing::SnapshotReader;
use edgeward_routing::certificate::TicketSecret;
use edgeward_routing::settings::TlsSettings;
use rustls::server::ProducesTickets;

/// How long a key seals, in seconds. So many nonces can be drawn at random that none comes twice: 2^32 tickets an hour.
const PERIOD: u64 = 3600;

/// How many periods the longest life of a ticket has.
const LONGEST: u64 = TlsSettings::LONGEST_TICKET.as_secs().div_ceil(PERIOD);

const TIME_LEN: usize = size_of::<u32>();

/// Seals and opens tickets with the secrets of the current snapshot.
pub(super) struct Tickets {
    snapshots: SnapshotReader,
    /// Where the snapshot has none, and for the tickets from before it had one.
    own: TicketSecret,
    clock: fn() -> SystemTime,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    pub(super) fn new(snapshots: SnapshotReader) -> Result<Self, rustls::Error> {
        let mut bytes = [0; TicketSecret::MIN_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        let own = TicketSecret { bytes: bytes.into(), parsed: Default::default() };
        Ok(Self { snapshots, own, clock: SystemTime::now })
    }

    /// The second, since 1970. A clock before that is wrong, and then tickets are good for no longer than it is.
    fn now(&self) -> u32 {
        let seconds = (self.clock)().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.snapshots.load().settings.tls.ticket_lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let snapshot = self.snapshots.load();
        let secret = snapshot.certificates.ticket_secrets.first().unwrap_or(&self.own);
        let time = self.now().to_be_bytes();
        let mut sealed = plain.to_vec();
        let nonce = key(secret, period(time))?.aead.seal_in_place_append_tag(Aad::from(time), &mut sealed).ok()?;
        Some([&time, nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (time, rest) = ticket.split_first_chunk::<TIME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let age = i64::from(self.now()) - i64::from(u32::from_be_bytes(*time));
        let snapshot = self.snapshots.load();
        let lifetime = snapshot.settings.tls.ticket_lifetime.min(TlsSettings::LONGEST_TICKET).as_secs();
        // The clock of the instance that sealed it may be ahead.
        if age < -(PERIOD as i64) || age > lifetime as i64 {
            return None;
        }
        snapshot.certificates.ticket_secrets.iter().chain([&self.own]).find_map(|secret| {
            let mut opened = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length =
                key(secret, period(*time))?.aead.open_in_place(nonce, Aad::from(*time), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        })
    }
}

/// The keys of one secret.
struct Keys {
    extracted: Prk,
    /// The keys of all periods that a ticket may be of, each in the place that its number falls on. Made when first needed.
    derived: [ArcSwapOption<Key>; PLACES],
}

/// A ticket may be from any period of its lifetime, from the one that runs, and from the next where a clock is ahead.
const PLACES: usize = LONGEST as usize + 2;

struct Key {
    period: [u8; TIME_LEN],
    aead: RandomizedNonceKey,
}

/// The number of the hour that a second is in.
fn period(time: [u8; TIME_LEN]) -> [u8; TIME_LEN] {
    (u32::from_be_bytes(time) / PERIOD as u32).to_be_bytes()
}

/// The key of a period.
fn key(secret: &TicketSecret, period: [u8; TIME_LEN]) -> Option<Arc<Key>> {
    let keys = secret.parsed.get_or_init(|| Keys {
        extracted: Salt::new(HKDF_SHA256, b"edgeward session tickets").extract(&secret.bytes),
        derived: Default::default(),
    })?;
    let place = &keys.derived[u32::from_be_bytes(period) as usize % PLACES];
    if let Some(key) = place.load_full().filter(|key| key.period == period) {
        return Some(key);
    }
    let mut bytes = [0; 32];
    keys.extracted.expand(&[&period], HKDF_SHA256).ok()?.fill(&mut bytes).ok()?;
    let key = Arc::new(Key { period, aead: RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()? });
    place.store(Some(Arc::clone(&key)));
    Some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use edgeward_routing::certificate::CertificateTable;
    use edgeward_routing::settings::Settings;
    use edgeward_routing::{Publisher, Snapshot};

    use super::*;

    fn hour(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number * PERIOD)
    }

    /// An instance with these secrets, whose clock stands at hour 100 or where it is put.
    fn instance(secrets: &[u8], clock: fn() -> SystemTime) -> Tickets {
        let secret = |byte: &u8| TicketSecret { bytes: vec![*byte; 32].into(), parsed: Default::default() };
        let table = CertificateTable { ticket_secrets: secrets.iter().map(secret).collect(), ..Default::default() };
        let snapshot = Snapshot { certificates: table.into(), ..Snapshot::empty(Default::default()) };
        Tickets { clock, ..Tickets::new(Publisher::new(snapshot).reader()).unwrap() }
    }

    #[test]
    fn whoever_has_the_secret_opens_what_another_sealed() {
        let now = || hour(100);
        let ticket = instance(&[1], now).encrypt(b"state").unwrap();
        assert!(!ticket.windows(5).any(|window| window == b"state"));
        for (secrets, opens) in [(&[1][..], true), (&[2, 1], true), (&[1, 2], true), (&[2], false), (&[], false)] {
            assert_eq!(
                instance(secrets, now).decrypt(&ticket).is_some_and(|state| state == b"state"),
                opens,
                "{secrets:?}"
            );
        }
    }

    #[test]
    fn without_a_secret_nobody_else_opens_it() {
        let tickets = instance(&[], || hour(100));
        let ticket = tickets.encrypt(b"state").unwrap();
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"state");
        assert_eq!(instance(&[], || hour(100)).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_is_good_for_twelve_hours() {
        let ticket = instance(&[1], || hour(100)).encrypt(b"state").unwrap();
        for (clock, opens) in [
            ((|| hour(98)) as fn() -> SystemTime, false),
            (|| hour(99), true),
            (|| hour(112), true),
            (|| hour(113), false),
            (|| UNIX_EPOCH - Duration::from_secs(1), false),
        ] {
            assert_eq!(instance(&[1], clock).decrypt(&ticket).is_some(), opens, "{:?}", clock());
        }
    }

    #[test]
    fn a_ticket_is_good_for_as_long_as_the_settings_say() {
        let mut settings = Settings::default();
        settings.tls.ticket_lifetime = Duration::from_secs(90);
        let tickets = |clock| {
            let snapshot = Snapshot::empty(settings.clone());
            let publisher = Publisher::new(snapshot);
            let own = TicketSecret { bytes: vec![1; 32].into(), parsed: Default::default() };
            Tickets { clock, own, ..Tickets::new(publisher.reader()).unwrap() }
        };
        let ticket = tickets(|| hour(100)).encrypt(b"state").unwrap();
        assert_eq!(tickets(|| hour(100)).lifetime(), 90);
        assert!(tickets(|| hour(100) + Duration::from_secs(90)).decrypt(&ticket).is_some());
        assert!(tickets(|| hour(100) + Duration::from_secs(91)).decrypt(&ticket).is_none());
    }

    #[test]
    fn each_hour_has_its_key_and_keeps_it() {
        let secret = TicketSecret { bytes: vec![1; 32].into(), parsed: Default::default() };
        let of = |hour: u32| key(&secret, hour.to_be_bytes()).unwrap();
        let sealed = |hour| {
            let mut text = b"state".to_vec();
            let nonce = of(hour).aead.seal_in_place_append_tag(Aad::empty(), &mut text).unwrap();
            (nonce, text)
        };
        let opens = |hour, (nonce, mut text): (Nonce, Vec<u8>)| {
            of(hour).aead.open_in_place(nonce, Aad::empty(), &mut text).is_ok()
        };
        let places = u32::try_from(PLACES).unwrap();
        for (sealing, opening) in [(7, 7), (7, 8), (7, 7 + places), (7 + places, 7), (u32::MAX, u32::MAX)] {
            assert_eq!(opens(opening, sealed(sealing)), sealing == opening, "{sealing} {opening}");
        }
        assert!(Arc::ptr_eq(&of(7), &of(7)));
    }

    #[test]
    fn what_was_changed_or_is_none_does_not_open() {
        let tickets = instance(&[1], || hour(100));
        let ticket = tickets.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }
}
