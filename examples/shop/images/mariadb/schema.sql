-- Applied at every start; every statement is one that may find its work done.
CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS shop.products (
  id INT UNSIGNED PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  price_cents INT UNSIGNED NOT NULL,
  sold INT UNSIGNED NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS shop.orders (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  product_id INT UNSIGNED NOT NULL,
  quantity SMALLINT UNSIGNED NOT NULL,
  created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  INDEX (created),
  FOREIGN KEY (product_id) REFERENCES shop.products (id)
);

INSERT IGNORE INTO shop.products (id, name, price_cents) VALUES
  (1, 'Espresso cup', 900),
  (2, 'Milk jug', 2400),
  (3, 'Hand grinder', 6900),
  (4, 'Paper filters', 450),
  (5, 'Gooseneck kettle', 8900),
  (6, 'Kitchen scale', 3200);

-- The load generator never stops ordering; this keeps the table at an hour's worth.
CREATE EVENT IF NOT EXISTS shop.forget_old_orders ON SCHEDULE EVERY 1 MINUTE
  DO DELETE FROM shop.orders WHERE created < NOW() - INTERVAL 1 HOUR;
