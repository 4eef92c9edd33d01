-- On the server that is written to. An order that comes before its customer waits for it.
CREATE DATABASE warehouse;
CREATE TABLE warehouse.customers (
    id INT UNSIGNED PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    email VARCHAR(100) NOT NULL
);
CREATE TABLE warehouse.orders (
    id BIGINT UNSIGNED PRIMARY KEY,
    customer_id INT UNSIGNED NOT NULL,
    total DECIMAL(12,2) NOT NULL,
    paid BOOLEAN NOT NULL,
    ordered_at DATETIME(3) NOT NULL,
    note TEXT,
    FOREIGN KEY (customer_id) REFERENCES warehouse.customers (id)
);
CREATE TABLE warehouse.mailing_list (
    customer INT UNSIGNED PRIMARY KEY,
    address TEXT NOT NULL,
    last_change VARCHAR(10) NOT NULL,
    changed_at DATETIME(3) NOT NULL
);
