-- The tables of the issue tracker, and the event table that the first rule fills.
CREATE DATABASE IF NOT EXISTS my_app;
USE my_app;

CREATE TABLE issues (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    title VARCHAR(200) NOT NULL,
    type VARCHAR(20) NOT NULL DEFAULT 'task',
    status VARCHAR(20) NOT NULL DEFAULT 'open',
    priority INT NOT NULL DEFAULT 3,
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)
);

CREATE TABLE event_log (
    id VARCHAR(26) PRIMARY KEY,
    timestamp DATETIME(3) NOT NULL,
    event_type VARCHAR(50) NOT NULL,
    source_db VARCHAR(50),
    source_table VARCHAR(50),
    subject_id VARCHAR(50),
    actor VARCHAR(100),
    summary TEXT,
    payload JSON,
    INDEX idx_timestamp (timestamp),
    INDEX idx_event_type (event_type)
);
