"""What costs the server memory that it should not cost."""

import os
from concurrent.futures import ThreadPoolExecutor

from signing import send, signed

MIB = 1024**2
INLINE_BYTES = 32 * 1024
KEYS = 3000
PAGE_KEYS = 1000
LISTERS = 8


def test_listings_do_not_hold_what_the_objects_hold(own_cloud):
    """Bodies of up to 32 KiB lie beside the names: a page of a thousand would be 32 MiB for each who lists."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="many")
    body = os.urandom(INLINE_BYTES)
    with ThreadPoolExecutor(LISTERS) as workers:
        list(workers.map(lambda key: s3.put_object(Bucket="many", Key=f"{key:04}", Body=body), range(KEYS)))
        # What was just written is in memory anyway; after a start it is not.
        own_cloud.stop()
        own_cloud.start()
        paths = [f"/many?list-type=2&start-after={start:04}" for start in range(0, KEYS - PAGE_KEYS, 250)]
        heads = {path: signed(own_cloud, "s3", "GET", path) for path in paths}
        own_cloud.forget_memory_peak()
        before = own_cloud.memory_peak_bytes()
        answers = list(workers.map(lambda path: send(own_cloud, "GET", path, headers=heads[path]), paths))
    assert all(f"<KeyCount>{PAGE_KEYS}</KeyCount>".encode() in answer.body for answer in answers)
    grown = own_cloud.memory_peak_bytes() - before
    # Most of it is the store's cache, which has its own bound; whole pages of bodies came to 67 MiB.
    assert grown < 48 * MIB, f"{LISTERS} listings at once took {grown // MIB} MiB"
