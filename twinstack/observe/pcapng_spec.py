"""Numbers of the pcapng format, for its reader (`traffic`) and its writer (`capture`). Data only.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
"""

BYTE_ORDER_MAGIC = 0x1A2B3C4D

# Block types
INTERFACE_DESCRIPTION = 1
OLD_PACKET = 2
SIMPLE_PACKET = 3
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
SECTION_HEADER = 0x0A0D0D0A

# Options; each block type has codes of its own
OPT_ENDOFOPT = 0
SHB_USERAPPL = 4
IF_NAME = 2
IF_DESCRIPTION = 3
IF_TSRESOL = 9
IF_TSOFFSET = 14
ISB_IFRECV = 4
ISB_IFDROP = 5
