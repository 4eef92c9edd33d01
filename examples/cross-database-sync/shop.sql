-- On the server that is followed.
CREATE DATABASE shop;
CREATE TABLE shop.customers (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    email VARCHAR(100) NOT NULL,
    password VARBINARY(64)
);
CREATE TABLE shop.orders (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    customer_id INT UNSIGNED NOT NULL,
    total DECIMAL(12,2) NOT NULL,
    paid BOOLEAN NOT NULL DEFAULT FALSE,
    ordered_at DATETIME(3) NOT NULL,
    note TEXT,
    FOREIGN KEY (customer_id) REFERENCES shop.customers (id)
);
