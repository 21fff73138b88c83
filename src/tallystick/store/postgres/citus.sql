-- Run once after `tallystick migrate`, as the role of the servers, in an empty database whose engine
-- is Citus: every table is sharded by tenant, and a tenant's rows of all tables stand on one node.
-- Tables that a later version adds are distributed by its `tallystick migrate`.

-- Settings of a session do not reach the nodes: those that free a tenant from a stuck process belong
-- to the role, for which they then hold on every node.
ALTER ROLE CURRENT_USER SET lock_timeout = '6s';
ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE CURRENT_USER SET synchronous_commit = 'on';

SELECT create_distributed_table('logs', 'tenant');
SELECT create_distributed_table('log', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('tiles', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('heads', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('claims', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('identity', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('lookups', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('erased', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('publications', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('public_files', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('public_chunks', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('public_seals', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('blobs', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('blob_chunks', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('lists', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('places', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('totals', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('counts', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('kinds', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('resources', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('children', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('sources', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('stream_states', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('stream_letters', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('stream_deliveries', 'tenant', colocate_with => 'logs');
SELECT create_distributed_table('export_states', 'tenant', colocate_with => 'logs');
