"""What runs in a process of its own: decoding and encoding, a million lines of C that read what strangers send.

`apart` starts it with an empty environment. It knows no key and no path: it asks for plain bytes by their place, and
gives away what it makes, piece by piece. Before the first byte comes it gives up files, sockets, more memory and time.

This module is the language that both sides speak. Each message has a head: a kind, a file, a place, a length.
"""

import struct
from typing import Final

HEAD: Final = struct.Struct(">cIQI")

STARTED: Final = b"S"
ASK: Final = b"?"  # for `length` bytes of `file` from `place` on; exactly these come back, and nothing else does
GIVE: Final = b"+"  # the next `length` bytes of `file`, which follow
FINISH: Final = b"."  # `file` is whole; from now on it may be asked for
PROGRESS: Final = b"%"  # so many thousandths are done: `place`
ANSWER: Final = b"!"  # JSON of `length` bytes follows, and the end

# Files, as both number them.
SOURCE: Final = 0  # what it is made from
RESULT: Final = 1
SOUND: Final = 2
PICTURES: Final = 3  # the first segment, then one number each
