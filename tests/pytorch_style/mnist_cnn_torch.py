"""The small convolutional network that everybody starts with on MNIST, as it is written with PyTorch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 32
TEST_BATCH_SIZE = 500
LEARNING_RATE = 0.02
MOMENTUM = 0.9
GAMMA = 0.6
LOG_INTERVAL = 20
SEED = 1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d(p=0.2)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.2, training=self.training)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def load(path, part):
    arrays = np.load(path)
    images = torch.from_numpy(arrays[f"{part}_images"]).unsqueeze(1).float() / 255
    labels = torch.from_numpy(arrays[f"{part}_labels"]).long()
    return TensorDataset((images - 0.1307) / 0.3081, labels)


def train(model, device, loader, optimizer, epoch):
    model.train()
    for i, (data, target) in enumerate(loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if i % LOG_INTERVAL == 0:
            done = i * len(data)
            print(f"epoch {epoch} [{done:>5d}/{len(loader.dataset):>5d}]  loss: {loss.item():.6f}")


def test(model, device, loader):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    count = len(loader.dataset)
    print(
        f"test: average loss {loss / count:.4f}, Accuracy: {correct}/{count} ({100.0 * correct / count:.1f}%)"
    )


def main(path, epochs=3):
    torch.manual_seed(SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader = DataLoader(load(path, "train"), batch_size=BATCH_SIZE, shuffle=True)
    test_loader = DataLoader(load(path, "test"), batch_size=TEST_BATCH_SIZE, shuffle=False)

    model = Net().to(device)
    print(sum(p.numel() for p in model.parameters() if p.requires_grad), "parameters")
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    scheduler = StepLR(optimizer, step_size=1, gamma=GAMMA)
    for epoch in range(1, epochs + 1):
        train(model, device, train_loader, optimizer, epoch)
        test(model, device, test_loader)
        scheduler.step()


if __name__ == "__main__":
    main("mnist.npz")
