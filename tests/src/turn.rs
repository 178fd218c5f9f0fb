//! Who may use the machine: tests that measure run alone, the others side by side.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::const_new(());

/// Waits until no measuring test runs, and lets other plain tests run beside this one.
pub async fn shared() -> RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// Waits until nothing else runs, and keeps it so: for tests that count failures under load or measure time.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().await
}
