-- The shop's tables and its catalogue. Idempotent: applied when the cluster is made, and harmless
-- when applied again. PostgreSQL's single-user mode reads it (-j): a statement ends with a
-- semicolon and an empty line.

CREATE TABLE IF NOT EXISTS products (
    id          integer PRIMARY KEY,
    sku         text NOT NULL UNIQUE,
    name        text NOT NULL,
    category    text NOT NULL,
    description text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents > 0),
    stock       integer NOT NULL CHECK (stock >= 0)
);

CREATE TABLE IF NOT EXISTS orders (
    id              uuid PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT now(),
    total_cents     bigint NOT NULL CHECK (total_cents > 0),
    idempotency_key text,           -- forgotten a day after the order
    request_digest  text NOT NULL
);

-- Of an earlier schema, when a key was every session's.
ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_idempotency_key_key;

-- The session's name (no id that opens it); the ordered cart's id, and whether it is to be emptied.
ALTER TABLE orders
    ADD COLUMN IF NOT EXISTS session  text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS cart     text,
    ADD COLUMN IF NOT EXISTS to_empty boolean NOT NULL DEFAULT false;

CREATE UNIQUE INDEX IF NOT EXISTS orders_of_keys
    ON orders (session, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE UNIQUE INDEX IF NOT EXISTS orders_of_carts ON orders (cart) WHERE cart IS NOT NULL;

CREATE INDEX IF NOT EXISTS orders_with_key
    ON orders (created_at) WHERE idempotency_key IS NOT NULL;

CREATE INDEX IF NOT EXISTS orders_to_empty ON orders (created_at) WHERE to_empty;

CREATE TABLE IF NOT EXISTS order_items (
    order_id         uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    product_id       integer NOT NULL REFERENCES products (id),
    quantity         integer NOT NULL CHECK (quantity > 0),
    unit_price_cents integer NOT NULL CHECK (unit_price_cents > 0),
    PRIMARY KEY (order_id, product_id)
);

INSERT INTO products (id, sku, name, category, description, price_cents, stock) VALUES
    (1,  'KB-60',  'Compact keyboard',     'input',    'Sixty keys, hot-swap switches, USB-C.',        7900, 100000),
    (2,  'KB-100', 'Full-size keyboard',   'input',    'All the keys, a quiet board, USB-C.',          9900, 100000),
    (3,  'MS-01',  'Optical mouse',        'input',    'Three buttons, 4000 dpi, a two-metre cable.',  2490, 100000),
    (4,  'TB-01',  'Trackball',            'input',    'A 34 mm ball under the thumb.',                4490, 5000),
    (5,  'MN-24',  'Monitor 24"',          'display',  '1920 x 1200, IPS, height-adjustable.',        18900, 5000),
    (6,  'MN-27',  'Monitor 27"',          'display',  '2560 x 1440, IPS, USB hub.',                  28900, 5000),
    (7,  'MN-32',  'Monitor 32"',          'display',  '3840 x 2160, IPS, USB-C 90 W.',               47900, 500),
    (8,  'AR-01',  'Monitor arm',          'display',  'Holds up to 9 kg, clamps to the desk.',        8900, 5000),
    (9,  'CB-C1',  'USB-C cable 1 m',      'cable',    '10 Gbit/s, 100 W.',                            1290, 100000),
    (10, 'CB-C2',  'USB-C cable 2 m',      'cable',    '10 Gbit/s, 100 W.',                            1690, 100000),
    (11, 'CB-E5',  'Patch cable 5 m',      'cable',    'Cat 6A, shielded.',                             990, 100000),
    (12, 'CB-H2',  'HDMI cable 2 m',       'cable',    'HDMI 2.1, 48 Gbit/s.',                         1490, 100000),
    (13, 'SW-05',  'Switch, 5 ports',      'network',  'Gigabit, fanless, metal case.',                2290, 5000),
    (14, 'SW-08',  'Switch, 8 ports',      'network',  'Gigabit, fanless, VLANs.',                     3990, 5000),
    (15, 'SW-24',  'Switch, 24 ports',     'network',  'Gigabit, 2 x SFP+, rack mount.',              19900, 500),
    (16, 'RT-01',  'Router board',         'network',  'Five gigabit ports, 1 GiB of memory.',         8490, 5000),
    (17, 'AP-06',  'Access point',         'network',  'Wi-Fi 6, PoE.',                               11900, 5000),
    (18, 'SD-1T',  'SSD 1 TB',             'storage',  'NVMe, 3500 MB/s.',                             6990, 5000),
    (19, 'SD-2T',  'SSD 2 TB',             'storage',  'NVMe, 3500 MB/s.',                            12990, 5000),
    (20, 'HD-8T',  'Hard disk 8 TB',       'storage',  '3.5", 5400 rpm, for arrays.',                 17900, 500),
    (21, 'US-64',  'USB stick 64 GB',      'storage',  'USB 3.2, metal case.',                         1190, 100000),
    (22, 'HS-01',  'Headset',              'audio',    'Closed, with a boom microphone.',              5990, 5000),
    (23, 'SP-02',  'Desk speakers',        'audio',    'A pair, 2 x 20 W.',                            7490, 500),
    (24, 'WC-01',  'Webcam',               'video',    '1080p at 60 Hz, privacy cover.',               6490, 3)
ON CONFLICT (id) DO NOTHING;
