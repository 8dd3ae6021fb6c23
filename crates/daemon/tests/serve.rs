//! The serve protocol: what is longer than it may be is refused before it is there, and a client that ends in the middle
//! of a request is told from one that ends.

use activity::Activity;
use daemon::Error;
use daemon::serve::{Server, serve};
use store::MemoryStore;
use store_model::StoreDir;

const HELLO: [u64; 2] = [0x390c_9deb, 0x207];

fn bytes(numbers: &[u64]) -> Vec<u8> {
    HELLO.iter().chain(numbers).flat_map(|number| number.to_le_bytes()).collect()
}

fn served(requests: &[u8]) -> (Result<(), Error>, Vec<u8>) {
    let store = MemoryStore::new(StoreDir::new("/nix/store").unwrap());
    let (server, mut answers) = (Server { store: &store, changes: None }, Vec::new());
    let done = serve(&server, &Activity::silent(), &mut &*requests, &mut answers);
    (done, answers)
}

#[test]
fn lengths_are_not_believed() {
    let why = |numbers: &[u64]| served(&bytes(numbers)).0.unwrap_err();
    assert!(matches!(why(&[3, 4097]), Error::TooLong { length: 4097, longest: 4096 }));
    assert!(matches!(why(&[3, u64::MAX]), Error::TooLong { .. }));
    assert!(matches!(why(&[1, 1 << 32]), Error::NumberTooLarge(_)));
    // A list may say that it has many elements, as long as these come.
    assert!(matches!(why(&[2, u64::MAX]), Error::Stream(_)));
    assert!(matches!(why(&[3, 1, u64::MAX]), Error::Padding));
}

#[test]
fn messages_have_an_end() {
    let path = b"/nix/store/00000000000000000000000000000000-a";
    let mut one = (path.len() as u64).to_le_bytes().to_vec();
    one.extend(path);
    one.resize(one.len().next_multiple_of(8), 0);
    let mut requests = bytes(&[2, u64::MAX]);
    for _ in 0..(280 << 20) / one.len() {
        requests.extend(&one);
    }
    assert!(matches!(served(&requests).0, Err(Error::MessageTooLong(_))));
}

#[test]
fn a_client_may_end_between_requests_and_not_in_one() {
    let (done, answers) = served(&bytes(&[1, 0, 0, 0]));
    done.unwrap();
    assert_eq!(answers.len(), 24);
    for length in 1..32 {
        let requests = bytes(&[1, 0, 0, 0]);
        let (done, answers) = served(&requests[..requests.len() - length]);
        assert!(matches!(done, Err(Error::Stream(_))), "{length}: {done:?}");
        assert_eq!(answers.len(), 16);
    }
}
